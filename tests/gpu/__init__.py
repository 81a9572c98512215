"""Tests that need a GPU, and run.sh, which runs them and measures the speed of training there."""
