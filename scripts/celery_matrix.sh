#!/bin/sh
# Runs the tests that meet Celery against every Celery release that is supported, each in an environment of its own.
#
#   scripts/celery_matrix.sh [VERSION ...]     all of them if none is named
#   ARGS="tests/beat -k conformance"           what pytest is told instead of the default
set -eu
cd "$(dirname "$0")/.."

failed=""
for version in ${*:-5.5 5.6 5.7}; do
    venv=".venv-celery-$version"
    scripts/venv.sh "$venv" dev
    # With the kombu of its time, and the redis-py that one allows: Celery itself would take the newest kombu.
    "$venv/bin/python" -m pip install --quiet "celery[redis]==$version.*" "kombu[redis]==$version.*"
    echo "== Celery $("$venv/bin/python" -c 'import celery, kombu, redis; print(celery.__version__, "with kombu", kombu.__version__, "and redis", redis.__version__)')"
    # shellcheck disable=SC2086 - several words are several arguments
    "$venv/bin/python" -m pytest -q ${ARGS:-tests/beat tests/translate tests/settings tests/worker} || failed="$failed $version"
done

[ -z "$failed" ] || { echo "failed on Celery:$failed" >&2; exit 1; }
