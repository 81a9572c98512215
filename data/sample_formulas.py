"""The tables behind data/make_sample.py: what is in which product, and what is said about it.

Only tables are here; parsing and random choice are in make_sample.py.
In the tables down to TYPES an indented line continues the one above.

INGREDIENTS  pool: INCI names of one function, as in the European Commission's CosIng inventory.
             "A + B" are drawn together: a polymer and its neutraliser, a preservative and
             its booster.
PIGMENTS     pool: US colour name = Colour Index (CI) number.
FORMULAS     product category: the steps of a formula, highest concentration first.
             "||" separates variants of the formula. A step is one of these:
               pool 1-3       one to three entries of a pool; without a number, one
               Name ?60       this ingredient, in 60 % of the products; without a number, in all
               active         the product's active ingredients
               +/- pool 4-8   the colorants that a shade may contain
ACTIVES      common name = INCI name | areas: what it does there; another wording | ...
SCENTS       fragrance family | mood | top notes | heart notes | base notes
TYPES        category | areas | nouns
             form: a word for the product = how it feels; ...
             need: what the product is for = what it does for it; ...
             use: first step > second step; another use
COMMON       categories that the product file has more often than the others.
ALIASES      label or category of a file -> product category.
SET_PARTS    categories of the products in a gift set or a mini size.
BRANDS       first parts of invented brand names, each of them with each of BRAND_ENDINGS.
LINE_...     the two words of an invented product line.
SHADE_...    the two words of an invented shade; the categories in SHADED have shades.
..._ROWS     label or category -> number of its rows in the sample.
SUNSCREEN_NAMES   INCI name -> name in a US list of active ingredients.
SIZES        area -> package sizes. SIZE_OF names the areas with the sizes of another;
             all that are in neither have those of "makeup".
"""

INGREDIENTS = """
humectant: Glycerin; Butylene Glycol; Propanediol; Propylene Glycol; Pentylene Glycol;
  Dipropylene Glycol; Sorbitol; Betaine; Sodium PCA; Methylpropanediol; Sodium Lactate; Trehalose;
  Glycereth-26; 1,2-Hexanediol; Hydroxyethyl Urea; Xylitol; PEG-8
ester: Caprylic/Capric Triglyceride; Isopropyl Palmitate; C12-15 Alkyl Benzoate;
  Isononyl Isononanoate; Ethylhexyl Palmitate; Octyldodecanol; Coco-Caprylate/Caprate;
  Dicaprylyl Carbonate; Cetyl Ethylhexanoate; Isohexadecane; Squalane; Isopropyl Myristate;
  Hydrogenated Polyisobutene
plant_oil: Simmondsia Chinensis (Jojoba) Seed Oil; Helianthus Annuus (Sunflower) Seed Oil;
  Prunus Amygdalus Dulcis (Sweet Almond) Oil; Argania Spinosa (Argan) Kernel Oil;
  Cocos Nucifera (Coconut) Oil; Olea Europaea (Olive) Fruit Oil; Persea Gratissima (Avocado) Oil;
  Vitis Vinifera (Grape) Seed Oil; Rosa Canina Fruit Oil; Macadamia Ternifolia Seed Oil;
  Glycine Soja (Soybean) Oil; Borago Officinalis Seed Oil; Sesamum Indicum (Sesame) Seed Oil;
  Camellia Oleifera Seed Oil; Oenothera Biennis (Evening Primrose) Oil;
  Ribes Nigrum (Black Currant) Seed Oil; Limnanthes Alba (Meadowfoam) Seed Oil;
  Carthamus Tinctorius (Safflower) Seed Oil; Sclerocarya Birrea Seed Oil;
  Prunus Armeniaca (Apricot) Kernel Oil
butter: Butyrospermum Parkii (Shea) Butter; Theobroma Cacao (Cocoa) Seed Butter;
  Mangifera Indica (Mango) Seed Butter
fatty: Cetearyl Alcohol; Cetyl Alcohol; Stearyl Alcohol; Behenyl Alcohol; Stearic Acid;
  Myristyl Alcohol; Palmitic Acid
emulsifier: Glyceryl Stearate + PEG-100 Stearate; Polysorbate 60 + Sorbitan Stearate;
  Cetearyl Olivate + Sorbitan Olivate; Glyceryl Stearate Citrate; Steareth-21 + Steareth-2;
  Polyglyceryl-3 Methylglucose Distearate; Cetearyl Glucoside; Ceteareth-20;
  Potassium Cetyl Phosphate; Glyceryl Stearate SE
volatile: Cyclopentasiloxane; Isododecane; Cyclohexasiloxane; Dimethicone; Trisiloxane;
  C13-15 Alkane; Methyl Trimethicone
silicone: Dimethicone; Phenyl Trimethicone; Caprylyl Methicone; Dimethiconol; Cetyl Dimethicone;
  Diphenylsiloxy Phenyl Trimethicone
elastomer: Dimethicone/Vinyl Dimethicone Crosspolymer; Polysilicone-11; Dimethicone Crosspolymer;
  Dimethicone/PEG-10/15 Crosspolymer
si_emulsifier: PEG-10 Dimethicone; Cetyl PEG/PPG-10/1 Dimethicone; PEG/PPG-18/18 Dimethicone;
  Lauryl PEG-9 Polydimethylsiloxyethyl Dimethicone
gum: Carbomer + Sodium Hydroxide; Carbomer + Triethanolamine; Xanthan Gum;
  Acrylates/C10-30 Alkyl Acrylate Crosspolymer + Tromethamine; Cellulose Gum;
  Ammonium Acryloyldimethyltaurate/VP Copolymer; Hydroxyethylcellulose; Sclerotium Gum;
  Polyacrylamide + C13-14 Isoparaffin + Laureth-7;
  Hydroxyethyl Acrylate/Sodium Acryloyldimethyl Taurate Copolymer; Sodium Polyacrylate;
  Magnesium Aluminum Silicate
anionic: Sodium Laureth Sulfate; Sodium Lauryl Sulfate; Sodium C14-16 Olefin Sulfonate;
  Ammonium Laureth Sulfate; Sodium Cocoyl Isethionate; Sodium Lauroyl Methyl Isethionate;
  Disodium Laureth Sulfosuccinate; Sodium Lauroyl Sarcosinate; Sodium Methyl Cocoyl Taurate;
  Sodium Cocoyl Glycinate
amphoteric: Cocamidopropyl Betaine; Coco-Betaine; Cocamidopropyl Hydroxysultaine;
  Disodium Cocoamphodiacetate; Sodium Cocoamphoacetate
nonionic: Decyl Glucoside; Coco-Glucoside; Lauryl Glucoside; Cocamide MEA; PEG-7 Glyceryl Cocoate;
  Polysorbate 20; PEG-40 Hydrogenated Castor Oil
pearl: Glycol Distearate; PEG-150 Distearate; PEG-120 Methyl Glucose Dioleate;
  PEG-55 Propylene Glycol Oleate; Cocamide MIPA
hair_polymer: Polyquaternium-10; Polyquaternium-7; Guar Hydroxypropyltrimonium Chloride;
  Polyquaternium-11; Polyquaternium-47; Polyquaternium-37
cationic: Behentrimonium Chloride; Behentrimonium Methosulfate; Cetrimonium Chloride;
  Stearamidopropyl Dimethylamine; Distearyldimonium Chloride
hair_silicone: Amodimethicone + Trideceth-12; Dimethicone; Dimethiconol;
  Bis-Aminopropyl Dimethicone; PEG-12 Dimethicone; Phenyl Trimethicone
protein: Hydrolyzed Keratin; Hydrolyzed Wheat Protein; Hydrolyzed Silk; Hydrolyzed Soy Protein;
  Hydrolyzed Rice Protein; Hydrolyzed Quinoa; Arginine
fixative: VP/VA Copolymer; PVP; Polyquaternium-11;
  Octylacrylamide/Acrylates/Butylaminoethyl Methacrylate Copolymer + Aminomethyl Propanol;
  Acrylates Copolymer + Aminomethyl Propanol; VA/Crotonates/Vinyl Neodecanoate Copolymer;
  Polyquaternium-4; AMP-Acrylates/Allyl Methacrylate Copolymer
propellant: Butane + Propane; Isobutane + Propane; Dimethyl Ether; Hydrofluorocarbon 152a;
  Butane + Isobutane + Propane
starch: Oryza Sativa (Rice) Starch; Aluminum Starch Octenylsuccinate; Zea Mays (Corn) Starch;
  Tapioca Starch; Silica; Kaolin
uv_filter: Ethylhexyl Methoxycinnamate; Homosalate; Ethylhexyl Salicylate; Octocrylene;
  Butyl Methoxydibenzoylmethane; Benzophenone-3
wax: Euphorbia Cerifera (Candelilla) Wax; Copernicia Cerifera (Carnauba) Wax; Beeswax; Ozokerite;
  Microcrystalline Wax; Polyethylene; Paraffin; Synthetic Wax;
  Helianthus Annuus (Sunflower) Seed Wax; Ceresin; Rhus Verniciflua Peel Wax
lip_oil: Diisostearyl Malate; Polyglyceryl-2 Triisostearate; Pentaerythrityl Tetraisostearate;
  Ricinus Communis (Castor) Seed Oil; Octyldodecanol; Polyglyceryl-2 Diisostearate;
  Tridecyl Trimellitate; Bis-Diglyceryl Polyacyladipate-2; Caprylic/Capric Triglyceride;
  Isononyl Isononanoate; Lanolin
gloss_base: Polybutene; Hydrogenated Polyisobutene; Mineral Oil; Ethylhexyl Palmitate;
  Diisostearyl Malate; Polyisobutene; Silica Dimethyl Silylate
film: Trimethylsiloxysilicate; Acrylates/Dimethicone Copolymer; Polypropylsilsesquioxane;
  Disteardimonium Hectorite + Propylene Carbonate
lash_film: Acrylates Copolymer; VP/Eicosene Copolymer;
  Styrene/Acrylates/Ammonium Methacrylate Copolymer; PVP; Acacia Senegal Gum; Polyvinyl Alcohol
filler: Talc; Mica; Silica; Synthetic Fluorphlogopite; Boron Nitride; Zinc Stearate;
  Magnesium Stearate; Nylon-12; Kaolin; Magnesium Myristate; Polymethylsilsesquioxane;
  Zea Mays (Corn) Starch; Lauroyl Lysine; Polymethyl Methacrylate; Calcium Sodium Borosilicate
binder: Dimethicone; Octyldodecyl Stearoyl Stearate; Diisostearyl Malate; Ethylhexyl Palmitate;
  Isononyl Isononanoate; Hydrogenated Polyisobutene
clay: Kaolin; Bentonite; Illite; Montmorillonite; Charcoal Powder; Moroccan Lava Clay;
  Titanium Dioxide; Zinc Oxide; Pumice
film_mask: Polyvinyl Alcohol; PVP; Acrylates Copolymer; Cellulose Gum
nail_solvent: Ethyl Acetate; Butyl Acetate; Isopropyl Alcohol; Propyl Acetate; Diacetone Alcohol
nail_film: Nitrocellulose; Adipic Acid/Neopentyl Glycol/Trimellitic Anhydride Copolymer;
  Tosylamide/Epoxy Resin; Cellulose Acetate Butyrate; Acetyl Tributyl Citrate;
  Stearalkonium Bentonite; Stearalkonium Hectorite; Benzophenone-1; Styrene/Acrylates Copolymer;
  Sucrose Acetate Isobutyrate
botanical: Camellia Sinensis (Green Tea) Leaf Extract;
  Chamomilla Recutita (Matricaria) Flower Extract; Aloe Barbadensis Leaf Juice; Algae Extract;
  Hamamelis Virginiana (Witch Hazel) Leaf Extract; Cucumis Sativus (Cucumber) Fruit Extract;
  Rosmarinus Officinalis (Rosemary) Leaf Extract; Calendula Officinalis Flower Extract;
  Panax Ginseng Root Extract; Salvia Officinalis (Sage) Leaf Extract;
  Punica Granatum (Pomegranate) Fruit Extract; Vitis Vinifera (Grape) Seed Extract;
  Scutellaria Baicalensis Root Extract; Lavandula Angustifolia (Lavender) Flower Extract;
  Rosa Damascena Flower Water; Glycyrrhiza Glabra (Licorice) Root Extract;
  Avena Sativa (Oat) Kernel Extract; Paeonia Suffruticosa Root Extract;
  Citrus Limon (Lemon) Peel Extract
skin_active: Panthenol; Allantoin; Sodium Hyaluronate; Bisabolol; Tocopheryl Acetate; Niacinamide;
  Ceramide NP; Adenosine; Hydrolyzed Collagen; Biosaccharide Gum-1; Saccharide Isomerate; Lecithin;
  Cholesterol; Beta-Glucan; Madecassoside; Ascorbyl Palmitate; Palmitoyl Tripeptide-1; Urea
peptide: Palmitoyl Tripeptide-1 + Palmitoyl Tetrapeptide-7; Acetyl Hexapeptide-8;
  Palmitoyl Tripeptide-5; Dipeptide-2; Palmitoyl Pentapeptide-4
acid: Glycolic Acid + Sodium Hydroxide; Lactic Acid; Salicylic Acid; Mandelic Acid; Gluconolactone;
  Tartaric Acid; Malic Acid
antioxidant: Tocopherol; Tocopheryl Acetate; BHT; Ascorbyl Palmitate;
  Pentaerythrityl Tetra-di-t-butyl Hydroxyhydrocinnamate
preserve: Phenoxyethanol + Ethylhexylglycerin; Phenoxyethanol + Caprylyl Glycol;
  Sodium Benzoate + Potassium Sorbate; Phenoxyethanol + Chlorphenesin;
  Phenoxyethanol + Methylparaben + Propylparaben; Benzyl Alcohol + Dehydroacetic Acid;
  Phenoxyethanol + Caprylyl Glycol + Hexylene Glycol
rinse_preserve: Methylchloroisothiazolinone + Methylisothiazolinone;
  Sodium Benzoate + Potassium Sorbate; DMDM Hydantoin; Phenoxyethanol;
  Sodium Benzoate + Salicylic Acid; Phenoxyethanol + Ethylhexylglycerin
chelator: Disodium EDTA; Tetrasodium EDTA; Sodium Phytate; Trisodium Ethylenediamine Disuccinate;
  Sodium Gluconate
ph: Citric Acid; Sodium Hydroxide; Sodium Citrate; Lactic Acid; Triethanolamine
allergen: Limonene; Linalool; Citronellol; Geraniol; Citral; Benzyl Salicylate; Hexyl Cinnamal;
  Coumarin; Eugenol; Benzyl Alcohol; Benzyl Benzoate; Hydroxycitronellal; Alpha-Isomethyl Ionone;
  Butylphenyl Methylpropional; Farnesol; Cinnamyl Alcohol; Isoeugenol;
  Evernia Prunastri (Oakmoss) Extract
essential_oil: Citrus Aurantium Dulcis (Orange) Peel Oil; Lavandula Angustifolia (Lavender) Oil;
  Mentha Piperita (Peppermint) Oil; Pelargonium Graveolens (Geranium) Flower Oil;
  Citrus Aurantium Bergamia (Bergamot) Fruit Oil; Eucalyptus Globulus Leaf Oil;
  Anthemis Nobilis Flower Oil
filter_stabiliser: Ethylhexyl Methoxycinnamate; Butyl Methoxydibenzoylmethane;
  Ethylhexyl Salicylate; BHT; Diethylamino Hydroxybenzoyl Hexyl Benzoate
"""

PIGMENTS = """
base: Titanium Dioxide=77891; Iron Oxides=77491; Mica=77019; Iron Oxides=77492; Iron Oxides=77499
lip: Red 7 Lake=15850; Red 6=15850; Yellow 5 Lake=19140; Yellow 6 Lake=15985; Blue 1 Lake=42090;
  Red 28 Lake=45410; Red 33 Lake=17200; Carmine=75470; Red 30 Lake=73360; Red 21=45380;
  Titanium Dioxide=77891; Iron Oxides=77491; Iron Oxides=77499
eye: Carmine=75470; Ultramarines=77007; Manganese Violet=77742; Chromium Oxide Greens=77288;
  Ferric Ferrocyanide=77510; Titanium Dioxide=77891; Bismuth Oxychloride=77163; Iron Oxides=77491;
  Iron Oxides=77492; Iron Oxides=77499; Red 40 Lake=16035; Mica=77019; Bronze Powder=77400
lash: Black 2=77266; Iron Oxides=77499; Iron Oxides=77491; Ultramarines=77007; Iron Oxides=77492;
  Titanium Dioxide=77891
nail: Red 34 Lake=15880; Red 7 Lake=15850; Red 6 Lake=15850; Yellow 5 Lake=19140;
  Ferric Ferrocyanide=77510; Titanium Dioxide=77891; Mica=77019
soluble: Yellow 5=19140; Blue 1=42090; Red 33=17200; Red 4=14700; Ext. Violet 2=60730;
  Green 5=61570; Orange 4=15510; Yellow 6=15985
"""

FORMULAS = """
Perfume: Alcohol Denat.; Fragrance; Water; filter_stabiliser 0-4; allergen 4-14; soluble 0-2
Cologne: Alcohol Denat.; Fragrance; Water; PEG-40 Hydrogenated Castor Oil ?20; Menthol ?10;
  filter_stabiliser 0-4; Limonene; Linalool; Coumarin ?70; allergen 2-11;
  Evernia Prunastri (Oakmoss) Extract ?30; soluble 0-3
Moisturizers: Water; humectant 2-5; ester 1-3; silicone 0-2; plant_oil 0-3; butter 0-1; fatty 1-2;
  emulsifier 1; active; skin_active 1-6; botanical 0-7; gum 1-2; antioxidant 0-1; preserve;
  chelator 0-1; ph 0-1; Fragrance ?55; allergen 0-5
  || Water; humectant 3-5; silicone 1-2; elastomer 0-1; gum 1-2; active; skin_active 2-6;
  botanical 1-7; Polysorbate 20 ?50; preserve; chelator 0-1; Fragrance ?35; soluble 0-1
  || Petrolatum ?60; Water; Glycerin; butter 1-2; plant_oil 1-4; fatty 2-3; wax 0-1; emulsifier 1;
  active; skin_active 1-5; preserve; Fragrance ?50
Face Serums: Water; humectant 2-6; active; peptide 0-2; skin_active 2-7; botanical 0-8; gum 1-2;
  Ethoxydiglycol ?20; Polysorbate 20 ?40; preserve; chelator 0-1; ph 1; Fragrance ?25
  || Cyclopentasiloxane; Dimethicone Crosspolymer; volatile 0-1; ester 1-2;
  Tetrahexyldecyl Ascorbate ?70; Retinol ?40; antioxidant 1-2; plant_oil 0-3
  || Water; acid 1-3; humectant 2-5; active; botanical 1-7; gum 1; preserve; chelator 0-1; ph 0-1
Face Wash & Cleansers: Water; anionic 1-2; amphoteric 1-2; nonionic 0-2; humectant 1-4; active;
  botanical 0-7; gum 0-1; pearl 0-1; acid 0-1; rinse_preserve; chelator 0-1; ph 1; Fragrance ?55;
  allergen 0-5; soluble 0-1
  || Water; ester 1-3; humectant 1-3; fatty 1-2; emulsifier 1; nonionic 1; active; botanical 1-6;
  gum 1; preserve; Fragrance ?40
  || plant_oil 2-5; ester 1-2; PEG-20 Glyceryl Triisostearate; Polyethylene ?40; antioxidant 1;
  Fragrance ?50; allergen 0-5
Face Masks: Water; clay 2-3; humectant 2-4; active; botanical 1-8; gum 1; fatty 0-2; emulsifier 0-1;
  skin_active 0-4; preserve; chelator 0-1; ph 0-1; Fragrance ?50; allergen 0-5; CI 77499 ?15
  || Water; humectant 3-6; active; botanical 2-8; gum 1-2; skin_active 2-6; preserve; chelator 0-1;
  ph 0-1; Fragrance ?40; soluble 0-1
  || Water; film_mask 1-2; Alcohol Denat.; humectant 1-4; clay 0-2; active; botanical 1-6;
  nonionic 1; preserve; Fragrance ?60; allergen 0-4
Eye Creams & Treatments: Water; humectant 2-5; ester 1-2; silicone 1-2; elastomer 0-1; fatty 1-2;
  emulsifier 1; active; Caffeine ?55; peptide 0-2; skin_active 1-5; botanical 0-7; gum 1; preserve;
  chelator 0-1; ph 0-1; Mica ?35; CI 77891 ?25; Tin Oxide ?10
  || Water; humectant 2-5; Caffeine; active; peptide 1-2; botanical 1-7; gum 1-2; preserve;
  chelator 0-1; ph 0-1
Toners: Water; humectant 1-5; Alcohol Denat. ?40; Hamamelis Virginiana (Witch Hazel) Water ?35;
  active; botanical 1-8; acid 0-1; nonionic 1; skin_active 0-4; preserve; chelator 0-1; ph 1;
  Fragrance ?45; allergen 0-5; soluble 0-1
Face Oils: plant_oil 3-8; Squalane ?60; ester 0-1; active; antioxidant 1-2; essential_oil 0-3;
  Rosmarinus Officinalis (Rosemary) Leaf Extract ?40; Fragrance ?25; allergen 0-7
Face Sunscreen: Water; active; uv_filter 2-4; ester 1-2; humectant 1-4; silicone 1-2; film 0-1;
  fatty 0-1; emulsifier 1; gum 1; skin_active 0-4; botanical 0-5; VP/Hexadecene Copolymer ?35;
  antioxidant 0-1; preserve; chelator 0-1; Fragrance ?30
  || Water; Zinc Oxide; Titanium Dioxide ?60; volatile 1-2; ester 1-3; si_emulsifier 1;
  Polyhydroxystearic Acid ?60; Triethoxycaprylylsilane; humectant 1-3; film 0-1;
  Sodium Chloride ?50; skin_active 0-4; preserve; chelator 0-1; Iron Oxides ?25
Shampoo: Water; anionic 1-3; amphoteric 1-2; nonionic 0-1; pearl 0-2; Sodium Chloride ?60;
  humectant 0-3; active; hair_polymer 1-2; hair_silicone 0-1; protein 0-3; botanical 0-7;
  rinse_preserve; chelator 0-1; ph 1; Fragrance ?92; allergen 0-7; soluble 0-1
Conditioner: Water; fatty 1-3; cationic 1-2; humectant 0-3; active; hair_silicone 0-2;
  plant_oil 0-3; butter 0-1; hair_polymer 0-1; protein 0-3; botanical 0-6;
  Hydroxyethylcellulose ?30; rinse_preserve; chelator 0-1; ph 1; Fragrance ?92; allergen 0-7
Hair Masks: Water; fatty 2-3; cationic 1-2; butter 1-2; plant_oil 1-5; humectant 1-3; active;
  hair_silicone 0-2; protein 1-4; botanical 0-6; ester 0-1; preserve; chelator 0-1; ph 1;
  Fragrance ?90; allergen 0-7
Hair Styling Products: Water; fixative 1-2; humectant 1-3; gum 1; active;
  PEG-40 Hydrogenated Castor Oil ?60; protein 0-3; preserve; chelator 0-1; Fragrance ?90;
  allergen 0-6
  || Water; propellant; fixative 1-2; nonionic 1; hair_polymer 1; Laureth-4 ?40; active;
  Cetrimonium Chloride ?50; preserve; Fragrance ?90; allergen 0-6
  || Water; wax 2-3; fatty 1-2; Ceteareth-20 ?60; butter 0-1; plant_oil 0-3; VP/VA Copolymer ?60;
  active; preserve; Fragrance ?90; allergen 0-5
Hair Spray: Alcohol Denat.; propellant; fixative 1-2; Water ?70; Triethyl Citrate ?40;
  hair_silicone 0-1; active; Panthenol ?40; Fragrance; allergen 1-8; Ethylhexyl Methoxycinnamate ?25
Dry Shampoo: propellant; Alcohol Denat.; starch 1-2; Disteardimonium Hectorite ?50;
  Isopropyl Myristate ?40; active; Cetrimonium Chloride ?25; Fragrance; allergen 1-8;
  Magnesium Stearate ?25
  || starch 2-4; Sodium Bicarbonate ?50; active; essential_oil 0-3; Fragrance ?60; allergen 0-6;
  CI 77491 ?20
Lipstick: lip_oil 3-5; wax 2-4; butter 0-1; plant_oil 0-2; active; filler 1-2; antioxidant 1;
  Fragrance ?55; Vanillin ?20; allergen 0-4; +/- lip 4-8
  || Isododecane; volatile 0-1; film 2-3; wax 0-1; filler 1-2; active; antioxidant 0-1;
  Phenoxyethanol ?30; Fragrance ?40; +/- lip 4-8
Lip Gloss: gloss_base 2-4; lip_oil 1-2; Silica Dimethyl Silylate ?50; active;
  Calcium Sodium Borosilicate ?30; Tin Oxide ?25; antioxidant 1; Flavor ?60; Vanillin ?20;
  Phenoxyethanol ?40; Capsicum Frutescens Fruit Extract ?12; +/- lip 2-6
Lip Balm & Treatment: lip_oil 1-2; wax 1-3; butter 1-2; plant_oil 2-5; active; Tocopherol ?60;
  Flavor ?55; Menthol ?20; Stevia Rebaudiana Leaf Extract ?15; Mentha Piperita (Peppermint) Oil ?25;
  allergen 0-4
  || Petrolatum; lip_oil 1-2; wax 1-2; plant_oil 1-3; active; Flavor ?60; Tocopheryl Acetate ?60;
  Red 7 Lake ?20
Foundation: Water; volatile 1-3; humectant 1-3; si_emulsifier 1-2; silicone 0-2; uv_filter 0-1;
  filler 1-2; Disteardimonium Hectorite ?50; active; Triethoxycaprylylsilane ?60;
  Magnesium Sulfate ?55; film 0-1; skin_active 0-4; preserve; chelator 0-1; Fragrance ?15;
  +/- base 4-5
  || filler 3-5; binder 1-3; active; Triethoxycaprylylsilane ?50; Tocopheryl Acetate ?30; preserve;
  +/- base 4-5
Mascara: Water; wax 2-4; fatty 1-2; Stearic Acid ?70; Triethanolamine ?55; lash_film 1-3;
  Glyceryl Stearate ?55; humectant 0-3; active; Hydroxyethylcellulose ?40; filler 0-1;
  Simethicone ?20; preserve; chelator 0-1; +/- lash 3-5
  || Isododecane; wax 2-4; Disteardimonium Hectorite + Propylene Carbonate; lash_film 0-2; filler 1;
  active; antioxidant 0-1; preserve; +/- lash 3-5
Eye Palettes: filler 3-6; binder 2-3; Tin Oxide ?35; active; Dimethiconol ?30; Caprylyl Glycol ?40;
  antioxidant 0-1; preserve; +/- eye 5-9
Blush: filler 3-5; binder 1-3; active; antioxidant 0-1; Tin Oxide ?25; preserve; Fragrance ?15;
  +/- base 2-4; +/- lip 2-4
  || lip_oil 1-2; volatile 0-1; ester 1-2; wax 1-2; filler 1-3; active; antioxidant 1; +/- base 2-3;
  +/- lip 3-5
Nail: nail_solvent 2-3; nail_film 4-7; Silica ?40; active; Calcium Pantothenate ?15; Camphor ?15;
  Dimethicone ?30; Tin Oxide ?20; +/- nail 3-6
Body Lotions & Body Oils: Water; humectant 1-4; ester 1-3; butter 1-2; plant_oil 1-4; fatty 1-3;
  emulsifier 1; silicone 0-1; active; skin_active 0-4; gum 1; preserve; chelator 0-1; ph 0-1;
  Fragrance ?88; allergen 1-8
  || ester 1-2; plant_oil 3-7; active; Tocopherol; Fragrance ?85; allergen 2-9; Mica ?15
Body Wash & Shower Gel: Water; anionic 1-2; amphoteric 1; nonionic 0-2; Sodium Chloride ?75;
  humectant 1-3; active; plant_oil 0-3; pearl 0-1; hair_polymer 0-1; botanical 0-6; rinse_preserve;
  chelator 0-1; ph 1; Fragrance; allergen 1-8; soluble 0-2
Lip Sunscreen: Ethylhexyl Methoxycinnamate; Butyl Methoxydibenzoylmethane; lip_oil 2-3; wax 2-3;
  butter 1; plant_oil 1; active; antioxidant 1; Flavor
Teeth Whitening: Water; Glycerin; Hydrogen Peroxide; Hydrated Silica ?50; Potassium Nitrate ?60;
  Cellulose Gum; Sodium Saccharin; Sodium Fluoride ?60; active; Sodium Hydroxide; Flavor
"""

ACTIVES = """
Hyaluronic Acid = Sodium Hyaluronate | face: draws water into the skin; plumps fine lines
  | eye: plumps dry lines | lips: plumps lips with moisture
Niacinamide = Niacinamide | face: evens skin tone and refines pores; calms redness and balances oil
  | eye: brightens dark circles | sun: calms redness
Vitamin C = Ascorbic Acid
  | face: brightens dull skin and fades dark spots; defends skin against free radicals
Retinol = Retinol | face oil: smooths wrinkles overnight; softens deep lines and uneven texture
  | eye: smooths crow's feet overnight
Salicylic Acid = Salicylic Acid
  | face mask: unclogs pores and clears blemishes; dissolves oil deep inside the pores
Glycolic Acid = Glycolic Acid
  | face mask: lifts away dead surface cells; resurfaces rough texture and brightens
Ceramide NP = Ceramide NP
  | face oil: rebuilds the skin barrier and locks in moisture; keeps water from escaping
  | body eye: strengthens dry, thin skin
Squalane = Squalane | face oil: softens skin without a greasy feel; replaces lost lipids
  | spray: adds weightless shine | lips: keeps lips supple
Vitamin E = Tocopheryl Acetate | oil sun powder color: protects skin from free radicals
  | lips: conditions chapped lips | nail lash: prevents dryness
Panthenol = Panthenol | hair spray: strengthens strands and adds body; holds moisture in the hair
  | face mask: calms irritated skin | lash: keeps lashes soft
Caffeine = Caffeine | eye: reduces puffiness and wakes up tired eyes; tightens under-eye bags
  | hair: energizes the scalp for fuller-looking roots
Peptide Complex = Palmitoyl Tripeptide-1
  | face: supports firmness and smooths wrinkles; helps skin look lifted
  | eye: firms the eye contour
Hydrolyzed Collagen = Hydrolyzed Collagen | face eye: keeps skin bouncy and smooth
  | hair: coats fine strands for volume | nail: strengthens thin nails
Aloe Vera = Aloe Barbadensis Leaf Juice | face mask: cools and calms sensitive skin; soothes redness
  | body: cools dry, tight skin | hair: hydrates the scalp
Green Tea Extract = Camellia Sinensis (Green Tea) Leaf Extract
  | face mask: shields skin with antioxidants; calms oily skin | eye: calms puffy lids
Chamomile Extract = Chamomilla Recutita (Matricaria) Flower Extract | face mask: eases redness
  | hair: soothes an irritated scalp | body: comforts skin
Centella Extract = Centella Asiatica Extract
  | face mask sun: repairs stressed skin and eases redness; soothes skin after a breakout
Licorice Root Extract = Glycyrrhiza Glabra (Licorice) Root Extract
  | face: fades dark spots; brightens patchy skin tone | eye: brightens shadows
Witch Hazel = Hamamelis Virginiana (Witch Hazel) Water
  | face: tightens the look of pores and removes excess oil
Kaolin Clay = Kaolin | mask: absorbs excess oil and draws out impurities; purifies clogged pores
  | powder hairdry: absorbs oil and keeps shine down
Charcoal = Charcoal Powder | mask: pulls dirt and oil from congested pores
  | tooth: lifts surface stains from enamel
Rosehip Oil = Rosa Canina Fruit Oil
  | face oil: restores radiance and softens scars; evens dry, dull skin
Jojoba Oil = Simmondsia Chinensis (Jojoba) Seed Oil | face oil: balances oil and softens skin
  | lips: smooths flaky lips | hair: tames flyaways | nail: softens cuticles
Argan Oil = Argania Spinosa (Argan) Kernel Oil
  | hair spray: smooths frizz and adds shine; seals split ends | oil body: nourishes dry skin
  | nail: feeds cuticles
Coconut Oil = Cocos Nucifera (Coconut) Oil
  | hair: conditions dry, coarse hair; keeps protein inside the strand | body: melts into dry skin
  | lips: softens dry lips
Shea Butter = Butyrospermum Parkii (Shea) Butter
  | body: deeply moisturizes dry skin; softens heels and elbows | lips: softens cracks
  | hair: seals in moisture
Cocoa Butter = Theobroma Cacao (Cocoa) Seed Butter | body: keeps skin supple and smooths marks
  | lips: protects lips from wind and cold
Keratin = Hydrolyzed Keratin | hair spray: repairs weak, damaged strands; fills gaps in the cuticle
  | lash: strengthens lashes | nail: hardens soft nails
Biotin = Biotin | hair: supports thicker, fuller hair; reduces breakage at the root
  | lash: promotes longer-looking lashes | nail: keeps nails from splitting
Silk Protein = Hydrolyzed Silk | hair spray: leaves hair smooth and glossy
  | powder: gives powder a silky slip
Rosemary Extract = Rosmarinus Officinalis (Rosemary) Leaf Extract
  | hair: stimulates the scalp and adds shine | body: refreshes tired skin
Tea Tree Oil = Melaleuca Alternifolia (Tea Tree) Leaf Oil
  | hair: clears flakes and refreshes the scalp | face mask: fights blemishes on oily skin
Rice Starch = Oryza Sativa (Rice) Starch | hairdry: soaks up oil at the roots; adds lift and body
  | powder: gives a soft matte finish
Zinc Oxide = Zinc Oxide
  | sun: reflects UVA and UVB rays; shields sensitive skin with a mineral filter
Avobenzone = Butyl Methoxydibenzoylmethane | sun: absorbs UVA rays that age the skin
Octisalate = Ethylhexyl Salicylate | sun: absorbs UVB rays that burn the skin
Silica = Silica | powder: absorbs oil and blurs pores; gives a soft-focus finish
  | color: blurs pores and lines
Mica = Mica | powder: catches light for a soft glow; adds a fine shimmer
  | color: gives skin a natural radiance
Mineral Pigment = Synthetic Fluorphlogopite | powder: gives rich color in one sweep
  | color: evens out redness with buildable coverage
Beeswax = Beeswax | lash: wraps each lash for volume; holds curl through the day
  | lips: seals in moisture with a protective film
Carnauba Wax = Copernicia Cerifera (Carnauba) Wax | lash: builds length that does not flake
  | lips: keeps color in place
Castor Oil = Ricinus Communis (Castor) Seed Oil | lash: conditions lashes from root to tip
  | lips: gives cushiony shine | nail: strengthens the nail bed
Calendula Extract = Calendula Officinalis Flower Extract | nail: calms ragged cuticles
  | body: soothes chafed skin | face: comforts sensitive skin
Oat Extract = Avena Sativa (Oat) Kernel Extract
  | body: relieves itchy, dry skin; calms rough patches | face mask: softens and soothes
Mint = Mentha Piperita (Peppermint) Oil | tooth: leaves breath cool and fresh
  | body: cools tired legs
Hydroxyapatite = Hydroxyapatite | tooth: polishes and strengthens enamel
"""

SCENTS = """
floral | soft and romantic | bergamot, pink pepper, mandarin, pear
  | rose, jasmine, peony, orange blossom | white musk, cedarwood, cashmere wood
fresh | crisp and airy | lemon, grapefruit, bergamot, mint
  | neroli, sea salt, lavender, green tea | vetiver, driftwood, white amber
woody | dry and grounded | black pepper, cardamom, bergamot, juniper
  | cedarwood, iris, geranium, sage | sandalwood, vetiver, oakmoss, leather
warm & spicy | rich and sensual | saffron, cinnamon, blood orange
  | tuberose, rum, incense, honey | vanilla, amber, patchouli
fruity | bright and playful | raspberry, peach, apple, blackcurrant
  | freesia, violet, lily of the valley, rose | vanilla, praline, soft musk
gourmand | sweet and cozy | almond, caramel, coffee, fig
  | jasmine, coconut milk, cocoa, heliotrope | vanilla, tonka bean, benzoin, brown sugar
"""

TYPES = """
Perfume | scent | Eau de Parfum; Eau de Toilette; Perfume Spray
form: long-lasting = stays close to the skin for hours; airy = softens as it dries down;
  intense = leaves a clear trail
need: evening wear = turns heads without shouting; every day = feels like a clean shirt;
  special nights = lingers until morning
use: Spray on pulse points such as the wrists and neck > Let it dry and do not rub;
  Mist over hair and clothes from an arm's length away

Cologne | scent | Cologne; Eau de Cologne; Cologne Spray
form: brisk = wakes up the senses after a shave; woody = wears well with a suit;
  fresh = feels light in warm weather
need: men = gives a clean finish to the day; the office = stays discreet and polished;
  summer days = cools like a sea breeze
use: Splash on the chest and neck after a shower > Reapply in the evening

Moisturizers | face | Moisturizer; Face Cream; Gel Cream; Day Cream; Night Cream; Crème
form: rich = melts in and leaves skin velvety; lightweight = sinks in fast without a sticky film;
  whipped = spreads like a cloud
need: dry skin = restores lost moisture; oily skin = hydrates without clogging pores;
  mature skin = firms; sensitive skin = calms redness
use: Smooth over clean face and neck morning and night;
  Warm between the palms > Press into damp skin > Follow with sunscreen

Face Serums | face | Serum; Concentrate; Ampoule; Booster
form: watery = absorbs in seconds; silky = layers well under cream;
  concentrated = works in two or three drops
need: dull skin = brings back a bright, even glow; fine lines = smooths and firms over time;
  uneven tone = fades spots; breakouts = clears pores
use: Apply three drops to clean skin > Pat in gently > Follow with moisturizer;
  Use at night before your cream > Wear sunscreen the next day

Face Wash & Cleansers | face mask | Cleanser; Face Wash; Facial Cleanser; Cleansing Wash
form: foaming = rinses away without tightness; creamy = leaves skin soft;
  gel = cuts through oil and grime; melting = dissolves makeup in one step
need: oily skin = clears excess oil and unclogs pores; dry skin = cleans and keeps moisture in;
  sensitive skin = cleans gently without soap
use: Massage onto damp skin with fingertips > Rinse with lukewarm water;
  Work into a lather > Avoid the eye area > Rinse well and pat dry

Face Masks | face mask | Mask; Face Mask; Facial Mask; Ten-Minute Mask
form: cooling = feels like a glass of water for the face; clay = dries down and tightens pores;
  jelly = clings to skin and leaves it dewy
need: congested pores = draws out impurities; dehydrated skin = floods thirsty skin with moisture;
  tired skin = restores glow as it dries
use: Spread an even layer on clean skin > Leave on for ten minutes > Rinse with warm water;
  Use twice a week > Follow with moisturizer

Eye Creams & Treatments | eye | Eye Cream; Eye Gel; Eye Serum; Eye Balm
form: cooling = glides under the eyes and sets without creasing; silky = sits well under concealer;
  rich = cushions thin skin overnight
need: dark circles = brightens the under-eye area; puffiness = depuffs morning eyes;
  crow's feet = smooths lines around the eyes
use: Tap a small amount around the eyes with the ring finger;
  Apply morning and night > Pat until absorbed

Toners | face | Toner; Essence; Facial Mist; Lotion Toner
form: refreshing = leaves skin clean and ready for serum; alcohol-free = feels gentle on bare skin;
  milky = adds a first layer of moisture
need: large pores = tightens the look of pores; dull skin = sweeps away dead cells;
  dry skin = preps skin to absorb moisture
use: Sweep over clean skin with a cotton pad; Press into the face with the palms > Follow with serum

Face Oils | oil | Face Oil; Oil Serum; Night Oil; Facial Oil
form: golden = absorbs without a greasy finish; pure = locks in everything beneath it;
  dry-touch = leaves a satin glow
need: dry skin = nourishes and seals in moisture; dull skin = adds radiance overnight;
  mature skin = softens deep lines
use: Warm three drops between the palms > Press onto the face as the last step;
  Mix a drop into your foundation or cream

Face Sunscreen | sun | Sunscreen SPF 30; Sunscreen SPF 50; Mineral Sunscreen SPF 40;
  Daily Sun Lotion SPF 30
form: sheer = dries clear with no white cast;
  water-resistant = stays on for eighty minutes in the water; matte = keeps shine away under makeup
need: daily wear = protects against sunburn; sensitive skin = shields without stinging the eyes;
  beach days = defends from UVA and UVB rays
use: Apply generously fifteen minutes before sun exposure > Reapply every two hours;
  Use as the last step each morning > Reapply after swimming

Shampoo | hair | Shampoo; Clarifying Shampoo; Daily Shampoo; Color-Care Shampoo
form: rich-lathering = rinses clean without residue; sulfate-free = washes gently with a soft foam;
  creamy = leaves hair easy to comb
need: dry, brittle hair = restores softness; oily roots = removes buildup;
  dyed hair = keeps color bright; fine hair = adds volume without weight
use: Massage into wet hair and scalp > Work into a lather > Rinse and follow with conditioner;
  Use two to three times a week > Rinse well

Conditioner | hair | Conditioner; Daily Conditioner; Smoothing Conditioner; Rinse-Out Conditioner
form: creamy = slips through knots; weightless = softens without flattening;
  rich = coats every strand with moisture
need: tangled hair = detangles and cuts combing time; dry hair = smooths rough cuticles;
  curly hair = defines curls and controls frizz
use: Work through wet hair from mid-length to ends > Leave for two minutes > Rinse;
  Apply after shampoo > Comb through > Rinse with cool water

Hair Masks | hair | Hair Mask; Deep Conditioner; Repair Treatment; Hair Butter
form: buttery = melts into thirsty strands; dense = leaves hair heavy with softness, never grease
need: damaged hair = rebuilds strength after bleach and heat;
  coarse hair = softens and tames from root to tip; split ends = stops breakage
use: Apply to damp hair after shampoo > Leave on for ten minutes > Rinse well;
  Use once a week under a warm towel > Rinse

Hair Styling Products | hair | Styling Gel; Mousse; Curl Cream; Texture Paste; Pomade
form: flexible-hold = holds shape without crunch;
  strong-hold = keeps style in place until you wash it out; light = dries touchable and soft
need: curls = defines curls and blocks humidity; short hair = shapes and separates;
  flat hair = builds volume at the roots
use: Work a small amount through damp hair > Style with fingers or a dryer;
  Rub between the palms > Shape dry hair as you like

Hair Spray | spray | Hair Spray; Finishing Spray; Volume Spray; Shine Spray
form: fast-drying = sets in seconds; brushable = combs out without flakes;
  extra-strong = locks every strand in place
need: updos = holds all day and night; humid weather = keeps frizz away;
  blowouts = keeps volume and shine
use: Hold the can ten inches away > Spray in short bursts onto dry hair

Dry Shampoo | hairdry | Dry Shampoo; Dry Shampoo Spray; Dry Hair Refresher
form: invisible = leaves no white residue; powdery = brushes out clean;
  scented = leaves hair smelling just washed
need: second-day hair = absorbs oil and adds lift; busy mornings = refreshes roots without water;
  oily hair = soaks up grease at the scalp
use: Shake well > Spray onto roots from ten inches away > Wait a minute and brush out

Lipstick | lips | Lipstick; Lip Color; Liquid Lipstick; Velvet Lipstick
form: creamy = glides on and feels like balm; matte = sets to a soft powder finish;
  satin = keeps a light sheen
need: long days = stays put through coffee and lunch; dry lips = adds color with comfort;
  bold looks = gives full color in one swipe
use: Line the lips > Apply from the center to the corners > Blot and repeat

Lip Gloss | lips | Lip Gloss; Plumping Gloss; Lip Shine
form: glassy = shines without stickiness; cushiony = wraps lips in soft color;
  shimmering = catches light with fine pearl
need: thin lips = makes lips look fuller; nude looks = adds a wet shine;
  layering = tops any lipstick
use: Sweep over bare lips or on top of lipstick with the wand

Lip Balm & Treatment | lips | Lip Balm; Lip Mask; Lip Treatment; Tinted Balm
form: waxy = seals in moisture for hours; buttery = melts on contact; minty = cools and softens
need: chapped lips = heals cracks and flakes; winter = protects lips from wind and cold;
  bedtime = repairs lips overnight
use: Apply to lips as often as needed; Smooth on a thick layer before bed

Foundation | color | Foundation; Long-Wear Foundation; Skin Tint; BB Cream
form: full-coverage = hides redness and spots without a mask effect;
  sheer = looks like skin, only better; satin = wears for twelve hours
need: oily skin = controls shine all day; dry skin = keeps a dewy finish;
  uneven tone = evens tone and blurs pores
use: Blend from the center of the face outward with a brush or damp sponge;
  Apply a thin layer > Build where you need more coverage

Mascara | lash | Mascara; Lash Mascara; Volume Mascara; Lengthening Mascara
form: inky black = coats every lash without clumps; tubing = slides off with warm water;
  buildable = layers from natural to bold
need: short lashes = lengthens and separates; thin lashes = builds volume from the roots;
  straight lashes = lifts and holds the curl
use: Wiggle the brush from root to tip > Build a second coat before the first one dries

Eye Palettes | powder | Eyeshadow Palette; Eyeshadow; Eyeshadow Quad; Shimmer Shadow
form: buttery = blends without fallout; pigmented = shows true color in one sweep;
  velvety = sets to a smooth matte
need: smoky eyes = moves from soft brown to deep black; everyday looks = mixes easy neutrals;
  parties = sparkles with metallic shades
use: Sweep the light shade over the lid > Deepen the crease with a dark shade > Blend the edges

Blush | powder | Blush; Cream Blush; Bronzer; Highlighter
form: finely milled = fades into the skin; silky = builds from sheer to bright;
  luminous = reflects light on the high points of the face
need: pale skin = brings a healthy flush to cheeks;
  summer looks = warms the face with a sun-kissed tint; cheekbones = sculpts and lifts
use: Smile and sweep onto the apples of the cheeks > Blend toward the temples

Nail | nail | Nail Polish; Nail Lacquer; Nail Color; Gel Nail Polish
form: high-gloss = dries fast and resists chips; creamy = covers in two coats;
  quick-dry = sets in sixty seconds
need: manicures = lasts up to seven days; weak nails = strengthens and protects;
  dark shades = gives even color to the last stroke
use: Apply a base coat > Brush on two thin coats > Finish with a top coat

Body Lotions & Body Oils | body | Body Lotion; Body Butter; Body Cream; Body Milk
form: fast-absorbing = sinks in before you dress; thick = keeps dry skin soft until the next bath;
  satin = leaves a soft glow
need: dry skin = moisturizes for a full day; rough elbows = softens cracked skin;
  winter skin = relieves itching and flaking
use: Massage into skin after a bath or shower; Apply daily to elbows, knees and heels

Body Wash & Shower Gel | body | Body Wash; Shower Gel; Bath Gel; Body Cleanser
form: foaming = turns into a soft lather; creamy = leaves skin soft after rinsing;
  clear = rinses fresh and leaves no film
need: dry skin = cleans without drying; active days = washes away sweat;
  early mornings = wakes up tired skin in the shower
use: Lather onto wet skin with a cloth or sponge > Rinse

Teeth Whitening | tooth | Whitening Gel; Whitening Toothpaste; Whitening Pen
form: peroxide = brightens without sensitivity
need: stained teeth = whitens coffee and tea stains in two weeks
use: Apply to clean teeth > Wait thirty minutes > Rinse

Face Brushes | tool | Powder Brush; Foundation Brush; Blending Brush; Contour Brush
form: synthetic = picks up powder and liquid evenly; dense = buffs without streaks
need: foundation = blends to a smooth finish; setting powder = gives light, even coverage
use: Dip into product > Tap off the excess > Buff onto skin; Wash weekly with mild soap > Dry flat

Hair Brushes & Combs | tool | Paddle Brush; Wide Tooth Comb; Round Brush; Detangling Brush
form: cushioned = bends with the scalp; ceramic = spreads heat evenly; wooden = keeps static down
need: long hair = detangles without pulling; curly hair = separates curls without breakage
use: Start at the ends > Work upward to the roots; Clean out loose hair after each use

0 Eyelashes | tool | False Lash Set; Long Wavy Wig; Press-On Nail Kit; Clip-In Hair Extension
form: lightweight = feels like nothing at all; reusable = holds its shape for many wears
need: parties = gives a full look in minutes; cosplay = matches costumes and photo shoots
use: Measure and trim to fit > Press into place and hold for ten seconds;
  Remove gently > Store in the box
"""

COMMON = [
    "Perfume",
    "Moisturizers",
    "Face Serums",
    "Face Wash & Cleansers",
    "Shampoo",
    "Hair Brushes & Combs",
    "0 Eyelashes",
    "Nail",
    "Lipstick",
]
ALIASES = {
    "Lip Balms & Treatments": "Lip Balm & Treatment",
    "Lip Sunscreen": "Lip Balm & Treatment",
    "Lip Plumper": "Lip Gloss",
    "Moisturizer": "Moisturizers",
    "Cleanser": "Face Wash & Cleansers",
    "Face Mask": "Face Masks",
    "Treatment": "Face Serums",
    "Eye cream": "Eye Creams & Treatments",
    "Sun protect": "Face Sunscreen",
}
SET_PARTS = (
    "Face Wash & Cleansers",
    "Moisturizers",
    "Lipstick",
    "Mascara",
    "Perfume",
    "Shampoo",
    "Conditioner",
)
BRANDS = """
Velmora|Ostrelle|Quillan|Bréval|Nørrsk|Taviane|Elunor|Mirabeck|Sorrelia|Lunqvist|Añoral|Pomeray
Caldwyn|Ferrowe|Jovanne|Kestrelle|Larkmoor|Mönchberg|Novarelle|Orsolette|Petrava|Rosmund|Sélune
Tindrel|Umbrielle|Vantello|Wrenfield|Xandrie|Ysolane|Zephrine|Ambrosette|Birchmere|Corvelle
Dunmarrow|Estrivoss|Fjordane|Glenhollow|Hestera|Ivorelle|Junorra|Kalindre|Lorvient|Maravelle
Nacrelle|Oakhavn|Priorelle|Solennia
"""
BRAND_ENDINGS = [
    "",
    " Beauty",
    " Skin",
    " Botanics",
    " Labs",
    " Paris",
    " Apothecary",
    " Naturals",
    " Studio",
    " & Co.",
    " Derm",
    " Cosmetics",
    " Atelier",
    " Organics",
    " Essentials",
    " House",
]
LINE_STARTS = """
Silk|Calm|Bright|Pure|Deep|Daily|Velvet|Golden|Wild|Soft|Clear|Fresh|First|Midnight|Morning|Coastal
Nordic|Hidden|Gentle|Quiet|Royal|Urban|Alpine|Crystal|Rose|Honey|Lunar|Solar|Ocean|Forest|Garden
Desert|Winter|Summer|Amber|Pearl|Ruby|Coral|Olive|Lotus|Cloud|Rain|River|Stone|Feather|Secret|Modern
Simple|Total|Super|Ultra|Double|Active|Perfect|Everyday|Noir|Blanc|Crème|Été|Petal
"""
LINE_ENDS = """
Bloom|Tide|Grove|Ritual|Veil|Dew|Harvest|Glow|Light|Shield|Touch|Balance|Repair|Rescue|Boost|Reset
Renew|Drench|Lift|Comfort|Finish|Drop|Wave|Whisper|Mist|Spark|Shine|Bliss|Charm|Dream|Muse|Story
Season|Root|Leaf|Seed|Nectar|Elixir|Essence|Remedy|Code|Science|Lab|Theory|Method|Therapy|Miracle
Energy|Pulse|Haven|Escape|Horizon|Poetry|Silhouette|Couture|Edition|Atelier|Éclat|Nº 5|365
"""
SHADE_STARTS = """
Dusty|Warm|Cool|Bare|Burnt|Smoky|Baby|Spiced|Antique|Frosted|Toasted|Brick|Wine|Honeyed|Deep|Pale
Metallic|Nude
"""
SHADE_ENDS = """
Rose|Mauve|Cocoa|Copper|Plum|Peach|Coral|Taupe|Bronze|Ruby|Fig|Clay|Almond|Ivory|Caramel|Sienna
Orchid|Fawn|Ember|Onyx
"""
COSMETICS_ROWS = {
    "Moisturizer": 48,
    "Cleanser": 46,
    "Face Mask": 43,
    "Treatment": 41,
    "Eye cream": 34,
    "Sun protect": 28,
}
SEPHORA_ROWS = {
    "Perfume": 50,
    "Moisturizers": 41,
    "Face Serums": 37,
    "Face Wash & Cleansers": 34,
    "Face Masks": 30,
    "Value & Gift Sets": 22,
    "Nail": 21,
    "Eye Creams & Treatments": 26,
    "Shampoo": 30,
    "Conditioner": 27,
    "Hair Styling Products": 26,
    "Lipstick": 28,
    "Foundation": 27,
    "Blush": 21,
    "Eye Palettes": 26,
    "Mascara": 25,
    "Body Lotions & Body Oils": 25,
    "Face Sunscreen": 24,
    "Cologne": 20,
    "Hair Masks": 23,
    "Toners": 22,
    "Body Wash & Shower Gel": 22,
    "Lip Gloss": 22,
    "Face Oils": 20,
    "Hair Spray": 19,
    "Dry Shampoo": 19,
    "Lip Balm & Treatment": 20,
    "Lip Balms & Treatments": 18,
    "Mini Size": 18,
    "Face Brushes": 6,
    "Teeth Whitening": 3,
    "Lip Plumper": 2,
    "Lip Sunscreen": 1,
}
SUNSCREEN_NAMES = {
    "Homosalate": "Homosalate",
    "Ethylhexyl Salicylate": "Octisalate",
    "Octocrylene": "Octocrylene",
    "Zinc Oxide": "Zinc Oxide",
}
CLEAN_SEAL = (
    "\n\n\nThe shop's clean seal stands for products without: \n\n"
    "Sulfates—SLS + SLES, Parabens, Phthalates, Mineral Oil, Oxybenzone"
)
FREE_OF = [
    "phthalates and coal tar",
    "triclosan and lead",
    "gluten and nuts",
    "oxybenzone and hydroquinone",
    "microbeads and phthalates",
]
CLAIMS = [
    "Not tested on animals.",
    "Tested by dermatologists.",
    "Made in small batches.",
    "The carton is recyclable.",
    "Developed over two years.",
    "Makes a nice gift.",
    "Store in a cool, dry place.",
    "Sold in two sizes.",
    "Keep away from heat.",
]
SIZES = {
    "face": "1.7 oz/ 50 mL|1 oz/ 30 mL|4.2 oz/ 125 mL|0.5 oz/ 15 mL",
    "hair": "8.4 oz/ 250 mL|33.8 oz/ 1 L|6.7 oz/ 200 mL|2 oz/ 60 mL",
    "body": "8 oz/ 236 mL|13.5 oz/ 400 mL|6.7 oz/ 200 mL|3.4 oz/ 100 mL",
    "scent": "1.7 oz/ 50 mL|3.4 oz/ 100 mL|0.33 oz/ 10 mL|1 oz/ 30 mL",
    "makeup": "0.12 oz/ 3.5 g|0.33 oz/ 10 mL|0.28 oz/ 8 g|1 oz/ 30 mL",
    "tool": "1 piece|2 pack|5 pieces|Pack of 3",
}
SIZE_OF = {
    "eye": "face",
    "sun": "face",
    "oil": "face",
    "tooth": "body",
    "hairdry": "hair",
    "spray": "hair",
}
SHADED = {"Lipstick", "Lip Gloss", "Foundation", "Mascara", "Eye Palettes", "Blush", "Nail"}
COSMETICS_HEADER = "Label,Brand,Name,Price,Rank,Ingredients,Combination,Dry,Normal,Oily,Sensitive"
SEPHORA_HEADER = (
    "id,brand,category,name,size,rating,number_of_reviews,love,price,value_price,URL,"
    "MarketingFlags,MarketingFlags_content,options,details,how_to_use,ingredients,"
    "online_only,exclusive,limited_edition,limited_time_offer"
)
