<# No comment is rendered: interactive zsh knows none. Nothing but what is exported stays in the shell that evaluates this. #>
<# In braces: what was cut on the way does not run at all. #>
{
dataset_mirror_place=$(
    set +e +u
    umask 077
    case "${XDG_CACHE_HOME:-}" in
        (/*) ours=$XDG_CACHE_HOME/<< names.FOLDER >> ;;
        (*) ours=${HOME:?}/.cache/<< names.FOLDER >> ;;
    esac
    seen=
    <# One file of authorities; of a bundle that was made here, what it was made from. #>
    one() {
        case "$1" in
            ("$ours"/*) file=${1%/*}/<< names.OWN >> ;;
            (*) file=$1 ;;
        esac
        [ -f "$file" ] && [ -r "$file" ] && [ -s "$file" ] || return 1
        case "$seen" in
            (*"|$file|"*) return 0 ;;
        esac
        seen="$seen|$file|"
        LC_ALL=C command awk 1 "$file"
    }
    certifi() {
        for python in python3 python; do
            command "$python" -c 'import certifi; print(certifi.where())' 2>/dev/null && return
        done
    }
    own() {
        one "${SSL_CERT_FILE:-}" ||
<% for file in names.AUTHORITIES %>
            one << file >> ||
<% endfor %>
            one "$(certifi)" ||
            printf '%s\n' 'dataset-mirror: found no certificate authorities of this machine; set SSL_CERT_FILE to them first.' >&2
<% for name in trust %>
        one "${<< name >>:-}"
<% endfor %>
    }
    wgetrc=${<< wget >>:-${HOME:-}/.wgetrc}
    case "$wgetrc" in
        ("$ours"/*) wgetrc=${wgetrc%/*}/<< names.OWN_WGETRC >> ;;
    esac
    command mkdir -p "$ours" && command chmod 700 "$ours" && new=$(command mktemp -d "$ours/new.XXXXXX") || exit 1
    own > "$new"/<< names.OWN >>
    { [ ! -f "$wgetrc" ] || LC_ALL=C command awk 1 "$wgetrc"; } > "$new"/<< names.OWN_WGETRC >>
    for aria2 in<% for place in names.ARIA2_HOMES %> "${HOME:-}"/<< place >><% endfor %>; do
        [ ! -f "$aria2" ] || { LC_ALL=C command awk 1 "$aria2" > "$new"/<< names.ARIA2 >>; break; }
    done
    <# Another folder for other authorities: what another shell uses stays as it is. #>
    sum=$(command cat "$new"/<< names.OWN >> "$new"/<< names.OWN_WGETRC >> | command cksum)
    place=$ours/<< label >>/${sum%% *}
    { command cat "$new"/<< names.OWN >> && printf '%s\n' << pem >>; } > "$new"/<< names.BUNDLE >> &&
        { command cat "$new"/<< names.OWN_WGETRC >> && printf 'ca_certificate = %s\n' "$place"/<< names.BUNDLE >>; } > "$new"/<< names.WGETRC >> &&
        printf 'ca-certificate=%s\n' "$place"/<< names.BUNDLE >> >> "$new"/<< names.ARIA2 >> &&
        command mkdir -p "$place" &&
        for file in << names.OWN >> << names.OWN_WGETRC >> << names.BUNDLE >> << names.WGETRC >> << names.ARIA2 >>; do
            command mv -f "$new/$file" "$place/$file" || exit 1
        done &&
        command rmdir "$new" && printf '%s' "$place"
) || dataset_mirror_place=
if [ -n "$dataset_mirror_place" ]; then
    dataset_mirror_except=$(
        set +e +u
        list=
        add() {
            case ",$list," in
                (*",$1,"*) ;;
                (*) list=${list:+$list,}$1 ;;
            esac
        }
        list=${no_proxy:-}
        [ -z "${NO_PROXY:-}" ] || [ "${NO_PROXY:-}" = "$list" ] || list=${list:+$list,}$NO_PROXY
<% for name in around %>
        add << name >>
<% endfor %>
        printf '%s' "$list"
    )
    case "${https_proxy:-${HTTPS_PROXY:-}}" in
        ('' | << address >>) ;;
        (<< marked[0] >>*<< marked[1] >>) ;;
        (*) printf '%s\n' << replaced >> >&2 ;;
    esac
<% for name in proxies %>
    export << name >>=<< proxy >>
<% endfor %>
<% for name in except_ %>
    export << name >>="$dataset_mirror_except"
<% endfor %>
<% for name in trust %>
    export << name >>="$dataset_mirror_place"/<< names.BUNDLE >>
<% endfor %>
    export << wget >>="$dataset_mirror_place"/<< names.WGETRC >>
<% for name, value in switches %>
    [ -n "${<< name >>:-}" ] || export << name >>=<< value >>
<% endfor %>
    if command -v aria2c > /dev/null 2>&1; then
        printf '%s\n' 'dataset-mirror: aria2c reads no variables for this: run it with --conf-path='"$dataset_mirror_place"/<< names.ARIA2 >> >&2
    fi
<% for line in said %>
    printf '%s\n' << line >> >&2
<% endfor %>
    unset dataset_mirror_place dataset_mirror_except
else
    unset dataset_mirror_place
    printf '%s\n' 'dataset-mirror: nothing was set: no bundle of certificate authorities could be made in the cache folder.' >&2
    false
fi
}
