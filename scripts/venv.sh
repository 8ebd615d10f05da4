#!/bin/sh
# Makes or refreshes a virtual environment.
#
#   scripts/venv.sh DIRECTORY EXTRAS
#
# The package is installed into it in editable form with these extras ("dev", or "redis,cli"). $PYTHON names the
# interpreter, python3 if unset; it must be 3.10 or newer. Nothing is done while pyproject.toml and this script are
# older than the stamp that the last run left behind.
set -eu

venv=$1
extras=$2
python=${PYTHON:-python3}
stamp="$venv/.installed-$(printf '%s' "$extras" | tr -c 'a-z0-9\n' '-')"

stop() {
    echo "error: $*" >&2
    exit 1
}

remove_venv() {
    [ ! -e "$venv" ] || [ -e "$venv/pyvenv.cfg" ] || stop "$venv is there and is no virtual environment: it is left alone"
    rm -rf "$venv"
}

cd "$(dirname "$0")/.."

command -v "$python" >/dev/null 2>&1 || stop "no $python here: install Python 3.10 or newer, or set PYTHON=/path/to/python"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
    stop "$("$python" --version 2>&1) is too old: Python 3.10 or newer is needed; set PYTHON=/path/to/python"

# Another interpreter than last time, named in $PYTHON, means another environment.
if [ -n "${PYTHON:-}" ] && [ -x "$venv/bin/python" ]; then
    version='import sys; print(sys.version_info[:3], sys.implementation.name)'
    [ "$("$python" -c "$version")" = "$("$venv/bin/python" -c "$version")" ] || remove_venv
fi

if [ -e "$stamp" ] && [ "$stamp" -nt pyproject.toml ] && [ "$stamp" -nt scripts/venv.sh ]; then
    exit 0
fi

make_venv() {
    # Debian ships venv without ensurepip unless python3-venv is installed; a half-made directory is left then.
    if "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        "$python" -m venv "$venv"
    elif command -v virtualenv >/dev/null 2>&1; then
        virtualenv --quiet --python "$python" "$venv"
    elif command -v uv >/dev/null 2>&1; then
        uv venv --quiet --seed --python "$python" "$venv"
    else
        stop "$python cannot make virtual environments: apt-get install python3-venv (or install virtualenv or uv)"
    fi
}

if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    echo "making $venv with $("$python" --version 2>&1)"
    remove_venv
    make_venv
fi

echo "installing celery-pyncette[$extras] into $venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable ".[$extras]"
touch "$stamp"
