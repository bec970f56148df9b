#!/usr/bin/env bash
# Installs vreason-jax on all workers of a TPU VM slice and runs one command on each of them.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage:
  scripts/tpu_vm.sh install NAME ZONE
  scripts/tpu_vm.sh run     NAME ZONE COMMAND...

NAME, ZONE  of the TPU VM, as in `gcloud compute tpus tpu-vm list`; or NAMES with commas between,
            of VMs that know nothing of each other: all at once, each to its own end
install     copies this checkout (its last commit) to every worker and installs it there with the
            `tpu` extra
run         runs COMMAND at the same time on every worker, in the copied checkout; process 0 prints
            the answer, and all workers must see the same --model and --video (a shared disk or bucket
            mount, copies, or a hub id)

Example:
  scripts/tpu_vm.sh install my-slice us-west4-a
  scripts/tpu_vm.sh run my-slice us-west4-a \
    python -m vreason_jax.generate --model Qwen/Qwen2.5-VL-7B-Instruct --video clip.mp4 \
    --prompt "What happens?"

Many spot VMs over one shared disk; each takes questions as it goes, and any may be preempted and
started again:
  scripts/tpu_vm.sh run spot-0,spot-1,spot-2 us-west4-a \
    python -m vreason_jax.evaluate --benchmark mvbench --data /shared/MVBench --claim \
    --out /shared/runs/mvbench

Needs gcloud, logged in, with a project set, and Python 3.11 or newer on the workers
(VREASON_PYTHON names it there [python3]).
TEXT
}

fail() {
  echo "tpu_vm.sh: $1" >&2
  exit 2
}

on_all_workers() {
  gcloud compute tpus tpu-vm ssh "$name" --zone="$zone" --worker=all --command="$1"
}

# The words of a command, quoted so that the worker's shell reads them as this one did.
quoted() {
  printf '%q ' "$@"
}

install_on_workers() {
  local archive
  folder="$(mktemp -d)" # not local: the trap runs after the function
  trap 'rm -rf "$folder"' EXIT
  archive="$folder/vreason-jax.tar.gz"
  git -C "$root" archive --format=tar.gz --output="$archive" HEAD
  gcloud compute tpus tpu-vm scp "$archive" "$name:vreason-jax.tar.gz" --zone="$zone" --worker=all
  on_all_workers "set -e
    rm -rf ~/vreason-jax && mkdir ~/vreason-jax
    tar -xzf ~/vreason-jax.tar.gz -C ~/vreason-jax
    ${VREASON_PYTHON:-python3} -m venv ~/vreason-jax-env
    ~/vreason-jax-env/bin/pip install --quiet --upgrade pip
    ~/vreason-jax-env/bin/pip install --quiet ~/vreason-jax[tpu]"
}

case "${1:-}" in
  install | run) action="$1" ;;
  -h | --help) usage && exit 0 ;;
  *) usage >&2 && exit 2 ;;
esac
[ $# -ge 3 ] || fail "$action: expected NAME and ZONE; see --help"
name="$2"
zone="$3"
shift 3
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
command -v gcloud >/dev/null || fail "expected gcloud on the PATH, found none"

# Does the action on VM $name.
act() {
  if [ "$action" = install ]; then
    install_on_workers
  else
    # Every worker starts the same command: JAX finds the others through the slice's metadata, and
    # a worker left out would keep the rest waiting.
    on_all_workers "cd ~/vreason-jax && PATH=~/vreason-jax-env/bin:\$PATH $(quoted "$@")"
  fi
}

if [ "$action" = install ]; then
  [ $# -eq 0 ] || fail "install: takes NAME and ZONE alone, got: $*"
else
  [ $# -gt 0 ] || fail "run: expected a command; see --help"
fi
IFS=, read -ra names <<<"$name"
if [ ${#names[@]} -eq 1 ]; then
  act "$@"
  exit
fi
running=()
for name in "${names[@]}"; do
  (act "$@") &
  running+=($!)
done
code=0
for process in "${running[@]}"; do
  wait "$process" || code=$?
done
exit "$code"
