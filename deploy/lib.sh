# Functions that deploy/run and deploy/test share; sourced by bash, from the top of the source tree.

die() # MESSAGE...: one line, exit 1
{
    echo "deploy/$(basename "$0"): $*" >&2
    exit 1
}

usage_error() # MESSAGE...: one line, exit 2
{
    echo "deploy/$(basename "$0"): $*" >&2
    exit 2
}

step() # TEXT...: what begins now
{
    echo "==> $*"
}

packages_of() # GROUP...: names of deploy/packages in these groups
{
    local name group rest
    while read -r name group rest; do
        case " $* " in *" $group "*) echo "$name" ;; esac
    done < <(grep -v '^#' deploy/packages)
}

packages_missing() # GROUP...: those that dpkg does not have
{
    local name
    for name in $(packages_of "$@"); do
        [ "$(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || echo "$name"
    done
}

# Installs what is missing when run as root; else says in one line what to install and exits.
packages_install() # GROUP...
{
    local missing log
    command -v dpkg-query >/dev/null || die "needs Debian 12; elsewhere install what deploy/packages lists by hand"
    missing=$(packages_missing "$@" | tr '\n' ' ')
    missing=${missing% }
    [ -n "$missing" ] || return 0
    [ "$(id -u)" = 0 ] || die "Debian packages are missing; as root: apt-get install -y --no-install-recommends $missing"
    step "installing $missing"
    log=$(mktemp)
    {
        apt-get update &&
            DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing
    } </dev/null 2>&1 | tee "$log" | progress_apt
    if [ "${PIPESTATUS[0]}" != 0 ]; then
        tail -n 5 "$log" >&2
        rm -f "$log"
        die "apt-get could not install: $missing"
    fi
    rm -f "$log"
}

# One line for each hundred packages that apt unpacks or sets up.
progress_apt()
{
    local line count=0
    while IFS= read -r line; do
        case $line in
        "Unpacking "* | "Setting up "*)
            count=$((count + 1))
            [ $((count % 100)) != 0 ] || echo "    ... $count steps (${line%% (*})"
            ;;
        esac
    done
}

# Ninja's output, condensed: one line for each fifth of the work, and all that is not progress (errors, warnings).
progress_ninja()
{
    local line fifth shown=0
    while IFS= read -r line; do
        if [[ $line =~ ^\[([0-9]+)/([0-9]+)\] ]]; then
            fifth=$((BASH_REMATCH[1] * 5 / BASH_REMATCH[2]))
            [ "$fifth" = "$shown" ] || echo "    ${BASH_REMATCH[1]} of ${BASH_REMATCH[2]}"
            shown=$fifth
        elif [ "$line" != "ninja: no work to do." ]; then
            echo "$line"
        fi
    done
}

build_preset() # PRESET[:TARGET] [CMAKE-ARGUMENT...]: configures and builds into build/PRESET
{
    local preset=${1%:*} target=all log
    case $1 in *:*) target=${1#*:} ;; esac
    shift
    step "building the $preset preset into build/$preset"
    log=$(mktemp)
    if ! cmake --preset "$preset" "$@" >"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        die "cmake could not configure the $preset preset"
    fi
    rm -f "$log"
    cmake --build "build/$preset" --target "$target" </dev/null 2>&1 | progress_ninja
    [ "${PIPESTATUS[0]}" = 0 ] || die "the $preset preset does not build"
}

port_is_free() # PORT: nobody listens on it at 127.0.0.1
{
    ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}
