# Sourced by the other scripts: makes an environment with what pyproject.toml names, and activates it.
#   install_environment EXTRAS [FOLDER] [PYTHON]    such as plots, or test,tpu, into .venv

install_environment() {
  local extras=$1 folder=${2:-.venv} python=${3:-} stamp
  if [ -z "$python" ]; then python=$(_newest_python) || return 1; fi
  if [ ! -x "$folder/bin/python" ]; then
    "$python" -m venv "$folder" 2>/dev/null || "$python" -m virtualenv -q "$folder" || {
      rm -rf "$folder"
      echo "error: $python can make no environment; install its venv module (Debian: python3-venv)" >&2
      return 1
    }
  fi
  # shellcheck disable=SC1091
  . "$folder/bin/activate"
  stamp=$folder/.installed-$extras
  if [ ! -e "$stamp" ] || [ pyproject.toml -nt "$stamp" ]; then
    echo "installing vreason-jax[$extras] into $folder ..." >&2
    python -m pip install -q --disable-pip-version-check -e ".[$extras]" && touch "$stamp"
  fi
}

# Prints the first of the Pythons, named by version such as 3.12, that is installed.
python_at_hand() {
  local version candidate
  for version in "$@"; do
    for candidate in "python$version" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/python; do
      if [ "$("$candidate" -c 'import sys; print("{}.{}".format(*sys.version_info))' 2>/dev/null)" = "$version" ]; then
        echo "$candidate"
        return
      fi
    done
  done
  return 1
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
