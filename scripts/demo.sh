#!/usr/bin/env bash
# Sets up the environment and answers the embedded question about the embedded clip.
# Leaves trace.json and plot.png in demo-output/. Arguments go to vreason_jax.generate.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/environment.sh
install_environment plots
mkdir -p demo-output
python -m vreason_jax.generate --trace demo-output/trace.json --plot demo-output/plot.png "$@"
echo "wrote demo-output/trace.json and demo-output/plot.png" >&2
