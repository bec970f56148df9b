# Sourced by demo.sh and test.sh: makes .venv with what pyproject.toml names, once, and activates it.
#   install_environment EXTRAS     such as plots, or test,tpu

install_environment() {
  local extras=$1 python stamp
  python=$(_newest_python) || return 1
  if [ ! -x .venv/bin/python ]; then
    "$python" -m venv .venv 2>/dev/null || "$python" -m virtualenv -q .venv || {
      rm -rf .venv
      echo "error: $python can make no environment; install its venv module (Debian: python3-venv)" >&2
      return 1
    }
  fi
  # shellcheck disable=SC1091
  . .venv/bin/activate
  stamp=.venv/.installed-$extras
  if [ ! -e "$stamp" ] || [ pyproject.toml -nt "$stamp" ]; then
    echo "installing vreason-jax[$extras] into .venv ..." >&2
    python -m pip install -q --disable-pip-version-check -e ".[$extras]" && touch "$stamp"
  fi
}

_newest_python() {
  local candidate
  for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11 python; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  echo "error: expected Python 3.11 or newer, found none; set PYTHON to one" >&2
  return 1
}
