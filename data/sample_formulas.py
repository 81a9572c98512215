"""The tables behind data/make_sample.py: what goes into which product, and what is said about it.

INGREDIENTS  INCI names by what they do in a formula (functions as listed in the European Commission's CosIng inventory).
PIGMENTS     US colour name and Colour Index (CI) number.
FORMULAS     product category -> formula, highest concentration first. Steps are separated by ";":
             "pool 1-3" draws one to three entries of a pool, "Name ?60" puts Name in with 60 % chance, "active" takes the
             product's active ingredients, "+/-" opens the block of colorants that a shade may contain. "||" separates variants.
             A pool entry "A + B" is a pair that belongs together (a polymer and its neutraliser, a preservative and its booster).
ACTIVES      common name = INCI name | area: what it does there; another wording | ...
TYPES        what a product of a category is called (noun), feels like (form), is for (need) and how it is used (use).
SCENTS       fragrance family | mood | top notes | heart notes | base notes

Only tables live here; parsing and random choice are in make_sample.py.
"""

INGREDIENTS = """
humectant: Glycerin; Butylene Glycol; Propanediol; Propylene Glycol; Pentylene Glycol; Dipropylene Glycol; Sorbitol; Betaine; Sodium PCA;
  Methylpropanediol; Sodium Lactate; Trehalose; Glycereth-26; 1,2-Hexanediol; Hydroxyethyl Urea; Xylitol; PEG-8
ester: Caprylic/Capric Triglyceride; Isopropyl Palmitate; C12-15 Alkyl Benzoate; Isononyl Isononanoate; Ethylhexyl Palmitate; Octyldodecanol;
  Coco-Caprylate/Caprate; Dicaprylyl Carbonate; Cetyl Ethylhexanoate; Isohexadecane; Squalane; Isopropyl Myristate; Hydrogenated Polyisobutene
plant_oil: Simmondsia Chinensis (Jojoba) Seed Oil; Helianthus Annuus (Sunflower) Seed Oil; Prunus Amygdalus Dulcis (Sweet Almond) Oil;
  Argania Spinosa (Argan) Kernel Oil; Cocos Nucifera (Coconut) Oil; Olea Europaea (Olive) Fruit Oil; Persea Gratissima (Avocado) Oil;
  Vitis Vinifera (Grape) Seed Oil; Rosa Canina Fruit Oil; Macadamia Ternifolia Seed Oil; Glycine Soja (Soybean) Oil; Borago Officinalis Seed Oil;
  Sesamum Indicum (Sesame) Seed Oil; Camellia Oleifera Seed Oil; Oenothera Biennis (Evening Primrose) Oil; Ribes Nigrum (Black Currant) Seed Oil;
  Limnanthes Alba (Meadowfoam) Seed Oil; Carthamus Tinctorius (Safflower) Seed Oil; Sclerocarya Birrea Seed Oil; Prunus Armeniaca (Apricot) Kernel Oil
butter: Butyrospermum Parkii (Shea) Butter; Theobroma Cacao (Cocoa) Seed Butter; Mangifera Indica (Mango) Seed Butter; Astrocaryum Murumuru Seed Butter
fatty: Cetearyl Alcohol; Cetyl Alcohol; Stearyl Alcohol; Behenyl Alcohol; Stearic Acid; Myristyl Alcohol; Palmitic Acid
emulsifier: Glyceryl Stearate + PEG-100 Stearate; Polysorbate 60 + Sorbitan Stearate; Cetearyl Olivate + Sorbitan Olivate; Glyceryl Stearate Citrate;
  Steareth-21 + Steareth-2; Polyglyceryl-3 Methylglucose Distearate; Cetearyl Glucoside; Ceteareth-20; Potassium Cetyl Phosphate; Glyceryl Stearate SE
volatile: Cyclopentasiloxane; Isododecane; Cyclohexasiloxane; Dimethicone; Trisiloxane; C13-15 Alkane; Methyl Trimethicone
silicone: Dimethicone; Phenyl Trimethicone; Caprylyl Methicone; Dimethiconol; Cetyl Dimethicone; Diphenylsiloxy Phenyl Trimethicone
elastomer: Dimethicone/Vinyl Dimethicone Crosspolymer; Polysilicone-11; Dimethicone Crosspolymer; Dimethicone/PEG-10/15 Crosspolymer
si_emulsifier: PEG-10 Dimethicone; Cetyl PEG/PPG-10/1 Dimethicone; PEG/PPG-18/18 Dimethicone; Lauryl PEG-9 Polydimethylsiloxyethyl Dimethicone
gum: Carbomer + Sodium Hydroxide; Carbomer + Triethanolamine; Xanthan Gum; Acrylates/C10-30 Alkyl Acrylate Crosspolymer + Tromethamine; Cellulose Gum;
  Ammonium Acryloyldimethyltaurate/VP Copolymer; Hydroxyethylcellulose; Sclerotium Gum; Polyacrylamide + C13-14 Isoparaffin + Laureth-7;
  Hydroxyethyl Acrylate/Sodium Acryloyldimethyl Taurate Copolymer; Sodium Polyacrylate; Magnesium Aluminum Silicate
anionic: Sodium Laureth Sulfate; Sodium Lauryl Sulfate; Sodium C14-16 Olefin Sulfonate; Ammonium Laureth Sulfate; Sodium Cocoyl Isethionate;
  Sodium Lauroyl Methyl Isethionate; Disodium Laureth Sulfosuccinate; Sodium Lauroyl Sarcosinate; Sodium Methyl Cocoyl Taurate; Sodium Cocoyl Glycinate
amphoteric: Cocamidopropyl Betaine; Coco-Betaine; Cocamidopropyl Hydroxysultaine; Disodium Cocoamphodiacetate; Sodium Cocoamphoacetate
nonionic: Decyl Glucoside; Coco-Glucoside; Lauryl Glucoside; Cocamide MEA; PEG-7 Glyceryl Cocoate; Polysorbate 20; PEG-40 Hydrogenated Castor Oil
pearl: Glycol Distearate; PEG-150 Distearate; PEG-120 Methyl Glucose Dioleate; PEG-55 Propylene Glycol Oleate; Cocamide MIPA
hair_polymer: Polyquaternium-10; Polyquaternium-7; Guar Hydroxypropyltrimonium Chloride; Polyquaternium-11; Polyquaternium-47; Polyquaternium-37
cationic: Behentrimonium Chloride; Behentrimonium Methosulfate; Cetrimonium Chloride; Stearamidopropyl Dimethylamine; Distearyldimonium Chloride;
  Quaternium-87; Dicetyldimonium Chloride
hair_silicone: Amodimethicone + Trideceth-12; Dimethicone; Dimethiconol; Bis-Aminopropyl Dimethicone; PEG-12 Dimethicone; Phenyl Trimethicone
protein: Hydrolyzed Keratin; Hydrolyzed Wheat Protein; Hydrolyzed Silk; Hydrolyzed Soy Protein; Hydrolyzed Rice Protein; Hydrolyzed Quinoa; Arginine
fixative: VP/VA Copolymer; PVP; Polyquaternium-11; Octylacrylamide/Acrylates/Butylaminoethyl Methacrylate Copolymer + Aminomethyl Propanol;
  Acrylates Copolymer + Aminomethyl Propanol; VA/Crotonates/Vinyl Neodecanoate Copolymer; Polyquaternium-4; AMP-Acrylates/Allyl Methacrylate Copolymer
propellant: Butane + Propane; Isobutane + Propane; Dimethyl Ether; Hydrofluorocarbon 152a; Butane + Isobutane + Propane
starch: Oryza Sativa (Rice) Starch; Aluminum Starch Octenylsuccinate; Zea Mays (Corn) Starch; Tapioca Starch; Silica; Kaolin
uv_filter: Ethylhexyl Methoxycinnamate; Homosalate; Ethylhexyl Salicylate; Octocrylene; Butyl Methoxydibenzoylmethane; Benzophenone-3
wax: Euphorbia Cerifera (Candelilla) Wax; Copernicia Cerifera (Carnauba) Wax; Beeswax; Ozokerite; Microcrystalline Wax; Polyethylene; Paraffin;
  Synthetic Wax; Helianthus Annuus (Sunflower) Seed Wax; Ceresin; Rhus Verniciflua Peel Wax
lip_oil: Diisostearyl Malate; Polyglyceryl-2 Triisostearate; Pentaerythrityl Tetraisostearate; Ricinus Communis (Castor) Seed Oil; Octyldodecanol;
  Polyglyceryl-2 Diisostearate; Tridecyl Trimellitate; Bis-Diglyceryl Polyacyladipate-2; Caprylic/Capric Triglyceride; Isononyl Isononanoate; Lanolin
gloss_base: Polybutene; Hydrogenated Polyisobutene; Mineral Oil; Ethylhexyl Palmitate; Diisostearyl Malate; Polyisobutene; Silica Dimethyl Silylate
film: Trimethylsiloxysilicate; Acrylates/Dimethicone Copolymer; Polypropylsilsesquioxane; Disteardimonium Hectorite + Propylene Carbonate; Silica Silylate
lash_film: Acrylates Copolymer; VP/Eicosene Copolymer; Styrene/Acrylates/Ammonium Methacrylate Copolymer; PVP; Acacia Senegal Gum; Polyvinyl Alcohol
filler: Talc; Mica; Silica; Synthetic Fluorphlogopite; Boron Nitride; Zinc Stearate; Magnesium Stearate; Nylon-12; Kaolin; Magnesium Myristate;
  Polymethylsilsesquioxane; Zea Mays (Corn) Starch; Lauroyl Lysine; Polymethyl Methacrylate; Calcium Sodium Borosilicate
binder: Dimethicone; Octyldodecyl Stearoyl Stearate; Diisostearyl Malate; Ethylhexyl Palmitate; Isononyl Isononanoate; Hydrogenated Polyisobutene
clay: Kaolin; Bentonite; Illite; Montmorillonite; Charcoal Powder; Moroccan Lava Clay; Titanium Dioxide; Zinc Oxide; Pumice
film_mask: Polyvinyl Alcohol; PVP; Acrylates Copolymer; Cellulose Gum
nail_solvent: Ethyl Acetate; Butyl Acetate; Isopropyl Alcohol; Propyl Acetate; Diacetone Alcohol
nail_film: Nitrocellulose; Adipic Acid/Neopentyl Glycol/Trimellitic Anhydride Copolymer; Tosylamide/Epoxy Resin; Cellulose Acetate Butyrate;
  Acetyl Tributyl Citrate; Stearalkonium Bentonite; Stearalkonium Hectorite; Benzophenone-1; Styrene/Acrylates Copolymer; Sucrose Acetate Isobutyrate
botanical: Camellia Sinensis (Green Tea) Leaf Extract; Chamomilla Recutita (Matricaria) Flower Extract; Aloe Barbadensis Leaf Juice; Algae Extract;
  Hamamelis Virginiana (Witch Hazel) Leaf Extract; Cucumis Sativus (Cucumber) Fruit Extract; Rosmarinus Officinalis (Rosemary) Leaf Extract;
  Calendula Officinalis Flower Extract; Panax Ginseng Root Extract; Salvia Officinalis (Sage) Leaf Extract; Punica Granatum (Pomegranate) Fruit Extract;
  Vitis Vinifera (Grape) Seed Extract; Scutellaria Baicalensis Root Extract; Lavandula Angustifolia (Lavender) Flower Extract; Rosa Damascena Flower Water;
  Glycyrrhiza Glabra (Licorice) Root Extract; Avena Sativa (Oat) Kernel Extract; Paeonia Suffruticosa Root Extract; Citrus Limon (Lemon) Peel Extract
skin_active: Panthenol; Allantoin; Sodium Hyaluronate; Bisabolol; Tocopheryl Acetate; Niacinamide; Ceramide NP; Adenosine; Hydrolyzed Collagen;
  Biosaccharide Gum-1; Saccharide Isomerate; Lecithin; Cholesterol; Beta-Glucan; Madecassoside; Ascorbyl Palmitate; Palmitoyl Tripeptide-1; Urea
peptide: Palmitoyl Tripeptide-1 + Palmitoyl Tetrapeptide-7; Acetyl Hexapeptide-8; Palmitoyl Tripeptide-5; Dipeptide-2; Palmitoyl Pentapeptide-4
acid: Glycolic Acid + Sodium Hydroxide; Lactic Acid; Salicylic Acid; Mandelic Acid; Gluconolactone; Tartaric Acid; Malic Acid
antioxidant: Tocopherol; Tocopheryl Acetate; BHT; Ascorbyl Palmitate; Pentaerythrityl Tetra-di-t-butyl Hydroxyhydrocinnamate
preserve: Phenoxyethanol + Ethylhexylglycerin; Phenoxyethanol + Caprylyl Glycol; Sodium Benzoate + Potassium Sorbate; Phenoxyethanol + Chlorphenesin;
  Phenoxyethanol + Methylparaben + Propylparaben; Benzyl Alcohol + Dehydroacetic Acid; Phenoxyethanol + Caprylyl Glycol + Hexylene Glycol
rinse_preserve: Methylchloroisothiazolinone + Methylisothiazolinone; Sodium Benzoate + Potassium Sorbate; DMDM Hydantoin; Phenoxyethanol;
  Sodium Benzoate + Salicylic Acid; Phenoxyethanol + Ethylhexylglycerin
chelator: Disodium EDTA; Tetrasodium EDTA; Sodium Phytate; Trisodium Ethylenediamine Disuccinate; Sodium Gluconate
ph: Citric Acid; Sodium Hydroxide; Sodium Citrate; Lactic Acid; Triethanolamine
allergen: Limonene; Linalool; Citronellol; Geraniol; Citral; Benzyl Salicylate; Hexyl Cinnamal; Coumarin; Eugenol; Benzyl Alcohol; Benzyl Benzoate;
  Hydroxycitronellal; Alpha-Isomethyl Ionone; Butylphenyl Methylpropional; Farnesol; Cinnamyl Alcohol; Isoeugenol; Evernia Prunastri (Oakmoss) Extract
essential_oil: Citrus Aurantium Dulcis (Orange) Peel Oil; Lavandula Angustifolia (Lavender) Oil; Mentha Piperita (Peppermint) Oil;
  Pelargonium Graveolens (Geranium) Flower Oil; Citrus Aurantium Bergamia (Bergamot) Fruit Oil; Eucalyptus Globulus Leaf Oil; Anthemis Nobilis Flower Oil
filter_stabiliser: Ethylhexyl Methoxycinnamate; Butyl Methoxydibenzoylmethane; Ethylhexyl Salicylate; BHT; Diethylamino Hydroxybenzoyl Hexyl Benzoate
"""

PIGMENTS = """
base: Titanium Dioxide=77891; Iron Oxides=77491; Mica=77019; Iron Oxides=77492; Iron Oxides=77499
lip: Red 7 Lake=15850; Red 6=15850; Yellow 5 Lake=19140; Yellow 6 Lake=15985; Blue 1 Lake=42090; Red 28 Lake=45410; Red 33 Lake=17200;
  Carmine=75470; Red 30 Lake=73360; Red 21=45380; Titanium Dioxide=77891; Iron Oxides=77491; Iron Oxides=77499
eye: Carmine=75470; Ultramarines=77007; Manganese Violet=77742; Chromium Oxide Greens=77288; Ferric Ferrocyanide=77510; Titanium Dioxide=77891;
  Bismuth Oxychloride=77163; Iron Oxides=77491; Iron Oxides=77492; Iron Oxides=77499; Red 40 Lake=16035; Mica=77019; Bronze Powder=77400
lash: Black 2=77266; Iron Oxides=77499; Iron Oxides=77491; Ultramarines=77007; Iron Oxides=77492; Titanium Dioxide=77891
nail: Red 34 Lake=15880; Red 7 Lake=15850; Red 6 Lake=15850; Yellow 5 Lake=19140; Ferric Ferrocyanide=77510; Titanium Dioxide=77891; Mica=77019
soluble: Yellow 5=19140; Blue 1=42090; Red 33=17200; Red 4=14700; Ext. Violet 2=60730; Green 5=61570; Orange 4=15510; Yellow 6=15985
"""

_FLORAL = "Alcohol Denat.; Fragrance; Water; filter_stabiliser 0-4; allergen 4-12; soluble 0-2"
_OIL_ROLL = "Caprylic/Capric Triglyceride; Fragrance; plant_oil 0-2; Isopropyl Myristate ?40; Tocopherol ?60; allergen 4-10"
FORMULAS = {
    "Perfume": _FLORAL,
    "Cologne": "Alcohol Denat.; Fragrance; Water; PEG-40 Hydrogenated Castor Oil ?20; Menthol ?10; filter_stabiliser 0-4; Limonene; Linalool;"
               " Coumarin ?70; allergen 2-9; Evernia Prunastri (Oakmoss) Extract ?30; soluble 0-3",
    "Rollerballs & Travel Size": _OIL_ROLL + "||" + _FLORAL,
    "Moisturizers": "Water; humectant 2-4; ester 1-3; silicone 0-2; plant_oil 0-2; butter 0-1; fatty 1-2; emulsifier 1; active; skin_active 1-4;"
                    " botanical 0-4; gum 1-2; antioxidant 0-1; preserve; chelator 0-1; ph 0-1; Fragrance ?55; allergen 0-3"
                    "||Water; humectant 3-4; silicone 1-2; elastomer 0-1; gum 1-2; active; skin_active 2-4; botanical 1-4; Polysorbate 20 ?50;"
                    " preserve; chelator 0-1; Fragrance ?35; soluble 0-1"
                    "||Petrolatum ?60; Water; Glycerin; butter 1-2; plant_oil 1-3; fatty 2-3; wax 0-1; emulsifier 1; active; skin_active 1-3; preserve; Fragrance ?50",
    "Face Serums": "Water; humectant 2-5; active; peptide 0-2; skin_active 2-5; botanical 0-5; gum 1-2; Ethoxydiglycol ?20; Polysorbate 20 ?40; preserve;"
                   " chelator 0-1; ph 1; Fragrance ?25"
                   "||Cyclopentasiloxane; Dimethicone Crosspolymer; volatile 0-1; ester 1-2; active; Tetrahexyldecyl Ascorbate ?50; antioxidant 1-2; plant_oil 0-2"
                   "||Water; acid 1-3; humectant 2-4; active; botanical 1-4; gum 1; preserve; chelator 0-1; ph 0-1",
    "Face Wash & Cleansers": "Water; anionic 1-2; amphoteric 1-2; nonionic 0-2; humectant 1-3; active; botanical 0-4; gum 0-1; pearl 0-1; acid 0-1;"
                             " rinse_preserve; chelator 0-1; ph 1; Fragrance ?55; allergen 0-3; soluble 0-1"
                             "||Water; ester 1-3; humectant 1-2; fatty 1-2; emulsifier 1; nonionic 1; active; botanical 1-3; gum 1; preserve; Fragrance ?40"
                             "||plant_oil 2-4; ester 1-2; PEG-20 Glyceryl Triisostearate; Polyethylene ?40; active; antioxidant 1; Fragrance ?50; allergen 0-3",
    "Face Masks": "Water; clay 2-3; humectant 2-3; active; botanical 1-5; gum 1; fatty 0-2; emulsifier 0-1; skin_active 0-2; preserve; chelator 0-1; ph 0-1;"
                  " Fragrance ?50; allergen 0-3; CI 77499 ?15"
                  "||Water; humectant 3-5; active; botanical 2-5; gum 1-2; skin_active 2-4; preserve; chelator 0-1; ph 0-1; Fragrance ?40; soluble 0-1"
                  "||Water; film_mask 1-2; Alcohol Denat.; humectant 1-3; clay 0-2; active; botanical 1-3; nonionic 1; preserve; Fragrance ?60; allergen 0-2",
    "Eye Creams & Treatments": "Water; humectant 2-4; ester 1-2; silicone 1-2; elastomer 0-1; fatty 1-2; emulsifier 1; active; Caffeine ?55; peptide 0-2;"
                               " skin_active 1-3; botanical 0-4; gum 1; preserve; chelator 0-1; ph 0-1; Mica ?35; CI 77891 ?25; Tin Oxide ?10"
                               "||Water; humectant 2-4; Caffeine; active; peptide 1-2; botanical 1-4; gum 1-2; preserve; chelator 0-1; ph 0-1",
    "Toners": "Water; humectant 1-4; Alcohol Denat. ?40; Hamamelis Virginiana (Witch Hazel) Water ?35; active; botanical 1-5; acid 0-1; nonionic 1;"
              " skin_active 0-2; preserve; chelator 0-1; ph 1; Fragrance ?45; allergen 0-3; soluble 0-1",
    "Face Oils": "plant_oil 3-7; Squalane ?60; ester 0-1; active; antioxidant 1-2; essential_oil 0-3; Rosmarinus Officinalis (Rosemary) Leaf Extract ?40;"
                 " Fragrance ?25; allergen 0-5",
    "Face Sunscreen": "Water; active; uv_filter 2-4; ester 1-2; humectant 1-3; silicone 1-2; film 0-1; fatty 0-1; emulsifier 1; gum 1; skin_active 0-2;"
                      " botanical 0-2; VP/Hexadecene Copolymer ?35; antioxidant 0-1; preserve; chelator 0-1; Fragrance ?30"
                      "||Water; Zinc Oxide; Titanium Dioxide ?60; volatile 1-2; ester 1-3; si_emulsifier 1; Polyhydroxystearic Acid ?60; Triethoxycaprylylsilane;"
                      " humectant 1-2; film 0-1; Sodium Chloride ?50; skin_active 0-2; preserve; chelator 0-1; Iron Oxides ?25",
    "Shampoo": "Water; anionic 1-3; amphoteric 1-2; nonionic 0-1; pearl 0-2; Sodium Chloride ?60; humectant 0-2; active; hair_polymer 1-2; hair_silicone 0-1;"
               " protein 0-2; botanical 0-4; rinse_preserve; chelator 0-1; ph 1; Fragrance ?92; allergen 0-5; soluble 0-1",
    "Conditioner": "Water; fatty 1-3; cationic 1-2; humectant 0-2; active; hair_silicone 0-2; plant_oil 0-2; butter 0-1; hair_polymer 0-1; protein 0-2;"
                   " botanical 0-3; Hydroxyethylcellulose ?30; rinse_preserve; chelator 0-1; ph 1; Fragrance ?92; allergen 0-5",
    "Hair Masks": "Water; fatty 2-3; cationic 1-2; butter 1-2; plant_oil 1-4; humectant 1-2; active; hair_silicone 0-2; protein 1-3; botanical 0-3; ester 0-1;"
                  " preserve; chelator 0-1; ph 1; Fragrance ?90; allergen 0-5",
    "Hair Styling Products": "Water; fixative 1-2; humectant 1-2; gum 1; active; PEG-40 Hydrogenated Castor Oil ?60; protein 0-2; preserve; chelator 0-1;"
                             " Fragrance ?90; allergen 0-4"
                             "||Water; propellant; fixative 1-2; nonionic 1; hair_polymer 1; Laureth-4 ?40; active; Cetrimonium Chloride ?50; preserve; Fragrance ?90; allergen 0-4"
                             "||Water; wax 2-3; fatty 1-2; Ceteareth-20 ?60; butter 0-1; plant_oil 0-2; VP/VA Copolymer ?60; active; preserve; Fragrance ?90; allergen 0-3",
    "Hair Spray": "Alcohol Denat.; propellant; fixative 1-2; Water ?70; Triethyl Citrate ?40; hair_silicone 0-1; active; Panthenol ?40; Fragrance; allergen 1-6;"
                  " Ethylhexyl Methoxycinnamate ?25",
    "Dry Shampoo": "propellant; Alcohol Denat.; starch 1-2; Disteardimonium Hectorite ?50; Isopropyl Myristate ?40; active; Cetrimonium Chloride ?25;"
                   " Fragrance; allergen 1-6; Magnesium Stearate ?25"
                   "||starch 2-4; Sodium Bicarbonate ?50; active; essential_oil 0-3; Fragrance ?60; allergen 0-4; CI 77491 ?20",
    "Hair Oil": "volatile 1-2; Dimethiconol; plant_oil 2-4; ester 0-2; active; Tocopherol ?60; Fragrance ?90; allergen 1-5",
    "Lipstick": "lip_oil 3-5; wax 2-4; butter 0-1; plant_oil 0-1; active; filler 1-2; antioxidant 1; Fragrance ?55; Vanillin ?20; allergen 0-2; +/- lip 4-8"
                "||Isododecane; volatile 0-1; film 2-3; wax 0-1; filler 1-2; active; antioxidant 0-1; Phenoxyethanol ?30; Fragrance ?40; +/- lip 4-8",
    "Lip Gloss": "gloss_base 2-4; lip_oil 1-2; Silica Dimethyl Silylate ?50; active; Calcium Sodium Borosilicate ?30; Tin Oxide ?25; antioxidant 1;"
                 " Flavor ?60; Vanillin ?20; Phenoxyethanol ?40; Capsicum Frutescens Fruit Extract ?12; +/- lip 2-6",
    "Lip Balm & Treatment": "lip_oil 1-2; wax 1-3; butter 1-2; plant_oil 2-4; active; Tocopherol ?60; Flavor ?55; Menthol ?20; Stevia Rebaudiana Leaf Extract ?15;"
                            " Mentha Piperita (Peppermint) Oil ?25; allergen 0-2"
                            "||Petrolatum; lip_oil 1-2; wax 1-2; plant_oil 1-2; active; Flavor ?60; Tocopheryl Acetate ?60; Red 7 Lake ?20",
    "Foundation": "Water; volatile 1-3; humectant 1-2; si_emulsifier 1-2; silicone 0-2; uv_filter 0-1; filler 1-2; Disteardimonium Hectorite ?50; active;"
                  " Triethoxycaprylylsilane ?60; Magnesium Sulfate ?55; film 0-1; skin_active 0-2; preserve; chelator 0-1; Fragrance ?15; +/- base 4-5"
                  "||filler 3-5; binder 1-3; active; Triethoxycaprylylsilane ?50; Tocopheryl Acetate ?30; preserve; +/- base 4-5",
    "Concealer": "volatile 1-2; Water ?60; ester 1-2; binder 1-2; filler 1-2; si_emulsifier 1; wax 0-2; active; skin_active 0-2; preserve; +/- base 3-5",
    "Mascara": "Water; wax 2-4; fatty 1-2; Stearic Acid ?70; Triethanolamine ?55; lash_film 1-3; Glyceryl Stearate ?55; humectant 0-2; active;"
               " Hydroxyethylcellulose ?40; filler 0-1; Simethicone ?20; preserve; chelator 0-1; +/- lash 3-5"
               "||Isododecane; wax 2-4; Disteardimonium Hectorite + Propylene Carbonate; lash_film 0-2; filler 1; active; antioxidant 0-1; preserve; +/- lash 3-5",
    "Eyeliner": "Water; lash_film 1-2; humectant 1-2; Polysorbate 20 ?40; active; preserve; chelator 0-1; ph 0-1; +/- lash 2-4"
                "||Cyclopentasiloxane; Trimethylsiloxysilicate; wax 2-3; ester 0-1; filler 1-2; active; antioxidant 1; +/- eye 3-6",
    "Eye Palettes": "filler 3-6; binder 2-3; Tin Oxide ?35; active; Dimethiconol ?30; Caprylyl Glycol ?40; antioxidant 0-1; preserve; +/- eye 5-9",
    "Blush": "filler 3-5; binder 1-3; active; antioxidant 0-1; Tin Oxide ?25; preserve; Fragrance ?15; +/- base 2-4; +/- lip 2-4"
             "||lip_oil 1-2; volatile 0-1; ester 1-2; wax 1-2; filler 1-3; active; antioxidant 1; +/- base 2-3; +/- lip 3-5",
    "Nail": "nail_solvent 2-3; nail_film 4-7; Silica ?40; active; Calcium Pantothenate ?15; Camphor ?15; Dimethicone ?30; Tin Oxide ?20; +/- nail 3-6"
            "||plant_oil 3-5; ester 1; active; Tocopherol; essential_oil 0-2; Fragrance ?60; allergen 0-4",
    "Body Lotions & Body Oils": "Water; humectant 1-3; ester 1-3; butter 1-2; plant_oil 1-3; fatty 1-3; emulsifier 1; silicone 0-1; active; skin_active 0-2; gum 1;"
                                " preserve; chelator 0-1; ph 0-1; Fragrance ?88; allergen 1-6"
                                "||ester 1-2; plant_oil 3-6; active; Tocopherol; Fragrance ?85; allergen 2-7; Mica ?15",
    "Body Wash & Shower Gel": "Water; anionic 1-2; amphoteric 1; nonionic 0-2; Sodium Chloride ?75; humectant 1-2; active; plant_oil 0-2; pearl 0-1;"
                              " hair_polymer 0-1; botanical 0-3; rinse_preserve; chelator 0-1; ph 1; Fragrance; allergen 1-6; soluble 0-2",
    "Deodorant & Antiperspirant": "Propylene Glycol; Water; Sodium Stearate; humectant 0-1; active; Zinc Ricinoleate ?50; Triethyl Citrate ?50; Silica ?40; Fragrance; allergen 1-6"
                                  "||Cocos Nucifera (Coconut) Oil; starch 1-2; Sodium Bicarbonate; butter 1; wax 1-2; active; Fragrance ?60; essential_oil 0-3; Tocopherol",
    "Setting Spray & Powder": "Water; Alcohol Denat.; PVP; humectant 1-2; active; botanical 0-3; nonionic 1; preserve; chelator 0-1; Fragrance ?60"
                              "||filler 3-5; binder 1-2; active; antioxidant 0-1; preserve; +/- base 1-4",
    "Self Tanners": "Water; Dihydroxyacetone; humectant 2-3; Erythrulose ?45; Caramel ?40; ester 0-2; gum 1; nonionic 1; active; preserve; Fragrance; allergen 0-5; soluble 0-3",
    "After Sun Care": "Water; Aloe Barbadensis Leaf Juice; humectant 2-3; ester 0-2; active; skin_active 1-3; botanical 1-3; gum 1; Menthyl Lactate ?40; preserve; Fragrance ?70; allergen 0-3",
    "Lip Sunscreen": "Ethylhexyl Methoxycinnamate; Butyl Methoxydibenzoylmethane; lip_oil 2-3; wax 2-3; butter 1; plant_oil 1; active; antioxidant 1; Flavor",
    "Teeth Whitening": "Water; Glycerin; Hydrogen Peroxide; Hydrated Silica ?50; Potassium Nitrate ?60; Cellulose Gum; Sodium Saccharin; Sodium Fluoride ?60; active; Sodium Hydroxide; Flavor",
}

ACTIVES = """
Hyaluronic Acid = Sodium Hyaluronate | face: draws water into the skin and plumps fine lines; holds moisture so that skin feels cushioned all day | eye: plumps dry lines around the eyes | lips: plumps lips with moisture | color: keeps makeup from settling into dry lines
Niacinamide = Niacinamide | face: evens skin tone and refines the look of pores; calms redness and balances oil | eye: brightens dark circles | body: evens tone on elbows and knees | sun: calms redness after a day outdoors
Vitamin C = Ascorbic Acid | face: brightens dull skin and fades the look of dark spots; defends against free radicals for a brighter tone
Retinol = Retinol | face: speeds up surface renewal and smooths wrinkles overnight; softens deep lines and uneven texture | eye: smooths crow's feet overnight
Salicylic Acid = Salicylic Acid | face: unclogs pores and helps to clear blemishes; dissolves oil deep inside the pores
Glycolic Acid = Glycolic Acid | face: lifts away dead surface cells for smoother skin; resurfaces rough texture and brightens | body: smooths rough bumps on arms and legs
Ceramide NP = Ceramide NP | face: rebuilds the skin barrier and locks in moisture; keeps water from escaping through dry skin | body: repairs the barrier of dry, itchy skin | eye: strengthens the thin skin around the eyes
Squalane = Squalane | face: softens skin without a greasy feel; replaces lost lipids and seals in moisture | hair: adds weightless shine | lips: keeps lips supple
Vitamin E = Tocopheryl Acetate | face: protects skin from dryness and free radicals | lips: conditions dry, chapped lips | body: nourishes dry skin | color: cares for the skin under makeup | nail: keeps nails flexible | sun: defends skin against free radicals | powder: cares for skin while color stays on | lash: conditions brittle lashes
Panthenol = Panthenol | hair: strengthens strands and holds moisture inside; adds body and softness | face: calms and moisturizes irritated skin | lash: keeps lashes soft and flexible | body: soothes dry patches | after: soothes hot, tight skin
Caffeine = Caffeine | eye: reduces puffiness and wakes up tired eyes; tightens the look of under-eye bags | body: firms the look of dimpled skin | hair: energizes the scalp for fuller-looking roots
Peptide Complex = Palmitoyl Tripeptide-1 | face: supports firmness and smooths wrinkles; helps skin look lifted | eye: firms the eye contour | lash: supports fuller-looking lashes
Hydrolyzed Collagen = Hydrolyzed Collagen | face: keeps skin bouncy and smooth | hair: coats fine strands for visible volume | nail: strengthens thin nails
Aloe Vera = Aloe Barbadensis Leaf Juice | face: cools and calms sensitive skin; soothes redness after cleansing | body: cools dry, tight skin | hair: hydrates a thirsty scalp | sun: cools sun-warmed skin | deo: calms freshly shaved skin | after: cools sun-warmed skin
Green Tea Extract = Camellia Sinensis (Green Tea) Leaf Extract | face: shields skin from pollution with antioxidants; calms oily, stressed skin | eye: calms tired, puffy lids | body: refreshes and tones
Chamomile Extract = Chamomilla Recutita (Matricaria) Flower Extract | face: calms reactive skin and eases redness | hair: soothes an irritated scalp | body: comforts sensitive skin
Centella Extract = Centella Asiatica Extract | face: repairs stressed skin and eases redness; soothes skin after a breakout
Licorice Root Extract = Glycyrrhiza Glabra (Licorice) Root Extract | face: fades the look of dark spots; brightens patchy skin tone | eye: brightens shadows
Witch Hazel = Hamamelis Virginiana (Witch Hazel) Water | face: tightens the look of pores and removes excess oil | deo: keeps underarms feeling fresh
Kaolin Clay = Kaolin | face: absorbs excess oil and draws out impurities; purifies clogged pores | deo: absorbs moisture through the day
Charcoal = Charcoal Powder | face: pulls dirt and oil from congested pores | tooth: lifts surface stains from enamel
Papaya Enzyme = Papain | face: dissolves dull surface cells without scrubbing
Rosehip Oil = Rosa Canina Fruit Oil | face: restores radiance and softens the look of scars; evens dry, dull skin
Jojoba Oil = Simmondsia Chinensis (Jojoba) Seed Oil | face: balances oil and softens skin | lips: smooths flaky lips | hair: tames flyaways and softens ends | nail: softens dry cuticles | powder: keeps powder from looking chalky
Argan Oil = Argania Spinosa (Argan) Kernel Oil | hair: smooths frizz and adds shine; repairs split ends | face: nourishes dry skin with essential fatty acids | body: leaves a silky glow | nail: feeds dry cuticles
Coconut Oil = Cocos Nucifera (Coconut) Oil | hair: deeply conditions dry, coarse hair; keeps protein inside the strand | body: melts into dry skin and softens it | lips: softens dry lips | deo: glides on and cares for skin
Shea Butter = Butyrospermum Parkii (Shea) Butter | body: deeply moisturizes dry skin; softens rough heels and elbows | lips: melts onto lips and softens cracks | hair: seals moisture into curls | face: comforts very dry skin
Cocoa Butter = Theobroma Cacao (Cocoa) Seed Butter | body: keeps skin supple and smooths marks | lips: protects lips from wind and cold
Mango Butter = Mangifera Indica (Mango) Seed Butter | lips: leaves lips soft and glossy | hair: softens coarse curls | body: cushions dry skin
Keratin = Hydrolyzed Keratin | hair: repairs weak, damaged strands; fills gaps in the cuticle for smoother hair | lash: strengthens fragile lashes | nail: hardens soft nails
Biotin = Biotin | hair: supports thicker, fuller hair; reduces breakage at the root | lash: promotes the look of longer lashes | nail: helps nails grow without splitting
Wheat Protein = Hydrolyzed Wheat Protein | hair: adds body and protects from heat; strengthens each strand
Silk Protein = Hydrolyzed Silk | hair: leaves hair smooth and glossy | powder: gives powder a silky slip
Rosemary Extract = Rosmarinus Officinalis (Rosemary) Leaf Extract | hair: stimulates the scalp and adds shine | body: refreshes tired skin
Tea Tree Oil = Melaleuca Alternifolia (Tea Tree) Leaf Oil | hair: clears flakes and refreshes the scalp | face: fights blemishes with a natural antiseptic | body: keeps skin fresh and clear | deo: fights odor-causing bacteria
Rice Starch = Oryza Sativa (Rice) Starch | hairdry: soaks up oil at the roots; adds lift and body | deo: keeps underarms dry | powder: gives a soft matte finish
Kaolin = Kaolin | hairdry: absorbs sweat and grease between washes | powder: controls shine through the day
Zinc Oxide = Zinc Oxide | sun: sits on top of the skin and reflects UVA and UVB rays; shields sensitive skin without a chemical filter
Avobenzone = Butyl Methoxydibenzoylmethane | sun: absorbs UVA rays that age the skin
Octisalate = Ethylhexyl Salicylate | sun: absorbs UVB rays that burn the skin
Silica = Silica | powder: absorbs oil and blurs pores; gives a soft-focus finish | color: blurs pores and lines
Mica = Mica | powder: catches light for a soft glow; adds a fine shimmer | color: gives skin a natural radiance
Mineral Pigment = Synthetic Fluorphlogopite | powder: gives rich color in one sweep | color: evens out redness with buildable coverage
Beeswax = Beeswax | lash: wraps each lash for volume; holds curl through the day | lips: seals in moisture with a protective film | hair: gives pliable hold
Carnauba Wax = Copernicia Cerifera (Carnauba) Wax | lash: builds length that does not flake | lips: keeps color in place
Castor Oil = Ricinus Communis (Castor) Seed Oil | lash: conditions lashes from root to tip | lips: gives cushiony shine | nail: strengthens the nail bed
Calendula Extract = Calendula Officinalis Flower Extract | nail: calms ragged cuticles | body: soothes chafed skin | face: comforts sensitive skin | after: calms sun-stressed skin
Oat Extract = Avena Sativa (Oat) Kernel Extract | body: relieves itchy, dry skin; calms eczema-prone skin | face: softens and soothes
Sea Salt = Maris Sal | wave: builds tousled texture and lift at the root
Mint = Mentha Piperita (Peppermint) Oil | tooth: leaves breath cool and fresh | body: cools tired legs | lips: gives a cool tingle
Hydroxyapatite = Hydroxyapatite | tooth: polishes and strengthens enamel
"""

SCENTS = """
floral | soft and romantic | bergamot, pink pepper, mandarin, pear | rose, jasmine, peony, orange blossom | white musk, cedarwood, cashmere wood
fresh | crisp and airy | lemon, grapefruit, bergamot, mint | neroli, sea salt, lavender, green tea | vetiver, driftwood, white amber
woody | dry and grounded | black pepper, cardamom, bergamot, juniper | cedarwood, iris, geranium, sage | sandalwood, vetiver, oakmoss, leather
warm & spicy | rich and sensual | saffron, cinnamon, pink pepper, blood orange | tuberose, rum, incense, honey | vanilla, amber, tonka bean, patchouli
fruity | bright and playful | raspberry, peach, apple, blackcurrant | freesia, violet, lily of the valley, rose | vanilla, praline, soft musk
gourmand | sweet and cozy | almond, caramel, coffee, fig | jasmine, coconut milk, cocoa, heliotrope | vanilla, tonka bean, benzoin, brown sugar
"""
