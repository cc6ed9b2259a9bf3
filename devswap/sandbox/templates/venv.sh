#!/bin/sh
# Makes one service's virtualenv as OSA's python_venv_build role leaves it: pip inside, exact pins beside it.
# usage: venv.sh PATH REQUIREMENT TOOL...    (pins on standard input; wheels in /run/wheels, uv in /run/uv)
set -eu
venv=$1 requirement=$2
shift 2
rm -rf "$venv"
python3 -m venv "$venv"
cat > "$venv/constraints.txt"
printf '%s\n' "$@" > "$venv/global-constraints.txt"
printf '%s\n' "$requirement" > "$venv/requirements.txt"
/run/uv pip install --quiet --no-cache --no-index --find-links /run/wheels --python "$venv/bin/python" --no-deps \
    --compile-bytecode --link-mode copy -r "$venv/constraints.txt" "$@"
