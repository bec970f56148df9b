#!/usr/bin/env bash
# Sets up the environment and runs lint, types and tests. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/environment.sh
extras=test
# libtpu lets TPU programs compile without a TPU; it exists for this platform alone.
if [ "$(uname -sm)" = "Linux x86_64" ]; then extras=test,tpu; fi
install_environment "$extras"
export TPU_SKIP_MDS_QUERY=1
ruff check .
ruff format --check .
pyright
python -m pytest "$@"
