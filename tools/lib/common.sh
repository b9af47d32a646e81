# shellcheck shell=bash
# tools/lib/common.sh: what the shell tools share; sourced, with the repository's root as the
# working directory. Messages go to stderr: stdout belongs to results.

# Exit status of a tool whose own set-up failed (docs/exit-status.md).
setup_failed=247

# say: progress, which MOTE_QUIET=1 leaves out. fail and what it shows are always told.
say() { [ -n "${MOTE_QUIET-}" ] || printf '%s\n' "$*" >&2; }

fail() {
    printf '%s\n' "$*" >&2
    exit "$setup_failed"
}

# fail_with_log LOG MESSAGE: the message and the log's last lines.
fail_with_log() {
    tail -n 20 "$1" | sed 's/^/    /' >&2
    fail "$2 (whole log: $1)"
}

# The cache lies outside of the checkout; everything in it is named by a hash of what it was made of.
cache_root=${MOTE_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/mote}

# Where ccache is installed, meson compiles by it. What it keeps is named by content, so that another checkout finds it.
export CCACHE_DIR=$cache_root/ccache CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1 CCACHE_MAXSIZE=${CCACHE_MAXSIZE:-3G}

# cache_dir NAME: makes the cache's folder NAME and prints its path.
cache_dir() {
    local reason
    reason=$(mkdir -p "$cache_root/$1" 2>&1) ||
        fail "cache: cannot make $cache_root/$1: ${reason##*: }; set MOTE_CACHE to a folder that can be written"
    printf '%s\n' "$cache_root/$1"
}

# run_as_root COMMAND...: as root, else through sudo.
run_as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

# content_key: 16 hex digits of the SHA-256 of stdin.
content_key() { sha256sum | cut -c1-16; }

# build_once FOLDER FILE FUNCTION: runs FUNCTION WORK, which fills the empty folder WORK, and then
# renames WORK to FOLDER: whoever sees FOLDER sees it complete. Of several callers one builds and
# the others wait; FOLDER/FILE present already means there is nothing to do. WORK stays after a
# failure, for its log, until the next try. What nobody used for 30 days goes when something is built.
build_once() {
    local folder=$1 file=$2 lock
    if [ -f "$folder/$file" ]; then
        touch "$folder"
        return
    fi
    exec {lock}>"$folder.lock"
    flock "$lock"
    if [ ! -f "$folder/$file" ]; then
        find "$(dirname "$folder")" -mindepth 1 -maxdepth 1 -mtime +30 -exec rm -rf {} +
        rm -rf "$folder" "$folder.work"
        mkdir "$folder.work"
        ("$3" "$folder.work")
        mv -T "$folder.work" "$folder"
    fi
    exec {lock}>&-
}
