#!/usr/bin/env bash
# Runs a few tests where the full run does not go: with flax's graph mode off, and with the JAX and
# PyAV that another Python resolves, where one is at hand (3.11: jax 0.10 and av 18; 3.12 and newer:
# jax 0.12 and av 19).
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/environment.sh
QUICK=(
  tests/test_model_rope.py tests/test_model_decoder.py tests/test_decoding_gradient.py
  tests/test_convert.py tests/test_runtime_names.py tests/test_video_pyav.py
)

without_graph_mode() {
  echo "== flax without its graph mode ==" >&2
  (. .venv/bin/activate && NNX_GRAPH_MODE=false python -m pytest "${QUICK[@]}")
}

# Tests under the first of the Pythons named, in an environment of its own.
under_python() {
  local python environment
  if ! python=$(python_at_hand "$@"); then
    echo "skipped: no Python $* at hand; install one, with pyenv for example, to test its JAX" >&2
    return
  fi
  environment=.venv-$("$python" -c 'import sys; print("{}.{}".format(*sys.version_info))')
  if ! (install_environment test "$environment" "$python"); then
    echo "skipped: $python cannot install vreason-jax[test] here; see the lines above" >&2
    return
  fi
  echo "== $("$environment/bin/python" -c 'import jax, sys; print("Python", sys.version.split()[0], "and jax", jax.__version__)') ==" >&2
  (. "$environment/bin/activate" && python -m pytest "${QUICK[@]}")
}

install_environment test
without_graph_mode
if python -c 'import sys; sys.exit(sys.version_info < (3, 12))'; then
  under_python 3.11
else
  under_python 3.12 3.13
fi
