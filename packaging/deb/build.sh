#!/usr/bin/env bash
# Builds artifacts/evacuator_VERSION_amd64.deb on Debian 12 or 13 with the .NET SDK. Prints its path.
#
#   packaging/deb/build.sh [VERSION]      VERSION: that of Directory.Build.props unless given
#
# The package is self-contained: both programs share one copy of the .NET runtime in /usr/lib/evacuator. Our own assemblies are compiled
# ahead of time (the runtime's are already), because the first move must not wait for the JIT. The same commit gives the same bytes: times are
# those of the commit ($SOURCE_DATE_EPOCH). Nothing is done if nothing has changed since the last build.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"
artifacts=$root/artifacts
version=${1:-$(sed -n 's:.*<Version>\(.*\)</Version>.*:\1:p' Directory.Build.props)}
package=$artifacts/evacuator_${version}_amd64.deb
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct 2>/dev/null || stat -c %Y Directory.Build.props)}"
export SOURCE_DATE_EPOCH LC_ALL=C.UTF-8 DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1 TZ=UTC

say() { printf 'package: %s\n' "$*" >&2; }

# Everything that goes into the package, by content.
inputs() {
    { find src systemd packaging -type d \( -name bin -o -name obj \) -prune -o -type f -print0
      printf '%s\0' Directory.Build.props Directory.Packages.props LICENSE; } | sort -z | xargs -0 sha256sum
    printf '%s %s\n' "$version" "$SOURCE_DATE_EPOCH"
}

# 1. Nothing to do?
mkdir -p "$artifacts"
exec 9>"$artifacts/.package.lock"
flock 9
stamp=$(inputs | sha256sum | cut -d ' ' -f 1)
if [ -f "$package" ] && [ "$(cat "$package.stamp" 2>/dev/null)" = "$stamp" ]; then
    say "unchanged"
    printf '%s\n' "$package"
    exit 0
fi

# 2. Tools. A fresh Debian has dpkg-deb and gzip; a C compiler only if there is something to compile.
shopt -s nullglob
native=(src/NodeAgent/native/*.c)
command -v dotnet >/dev/null || { say "the .NET SDK 10 is missing: see https://dotnet.microsoft.com/download"; exit 1; }
need=()
command -v xz >/dev/null || need+=(xz-utils)
((${#native[@]} == 0)) || command -v gcc >/dev/null || need+=(gcc libc6-dev)
if ((${#need[@]})); then
    say "installing ${need[*]}"
    apt-get update -qq >&2 && apt-get install -y -qq --no-install-recommends "${need[@]}" >&2
fi

# 3. The programs. Their own obj directory, so that a build from the editor and this one do not undo each other's restore.
tree=$artifacts/package
rm -rf "$tree"
lib=$tree/usr/lib/evacuator
mkdir -p "$lib"
for project in Evacuator NodeAgent; do
    say "publishing $project"
    dotnet publish "src/$project" --configuration Release --runtime linux-x64 --self-contained --artifacts-path "$artifacts/build" \
        --output "$lib" --verbosity quiet -p:PublishReadyToRun=true -p:DebugType=embedded -p:ContinuousIntegrationBuild=true \
        -p:PathMap="$root=/evacuator" -p:RunAnalyzers=false -p:Version="$version" >&2
done
# The first needs liblttng-ust, which nobody has and nothing here uses; the second is for IIS; the last for debuggers on other machines.
rm -f "$lib/libcoreclrtraceptprovider.so" "$lib/web.config" "$lib"/*.pdb "$lib"/*.xml
for source in "${native[@]}"; do
    say "compiling $source"
    # criu-*.c are put into CRIU, the others are programs.
    case $source in
        */criu-*) kind=(-fPIC -shared -o "$lib/$(basename "$source" .c).so") ;;
        *) kind=(-fPIE -pie -o "$lib/$(basename "$source" .c)") ;;
    esac
    gcc -O2 -g0 -Wall -Wextra -Werror -fstack-protector-strong -D_FORTIFY_SOURCE=2 -Wl,-z,relro,-z,now,-s \
        -ffile-prefix-map="$root=/evacuator" "${kind[@]}" "$source" -ldl
done

# 4. The files around them.
install -d "$tree"/usr/bin "$tree"/usr/lib/systemd/system "$tree"/usr/lib/sysusers.d "$tree"/etc/evacuator/evacuator.conf.d \
    "$tree"/usr/share/{doc/evacuator,man/man1,man/man5,man/man8,bash-completion/completions,lintian/overrides}
ln -s ../lib/evacuator/evacuator "$tree/usr/bin/evacuator"
install -m 644 systemd/*.service systemd/*.timer "$tree/usr/lib/systemd/system/"
install -m 644 packaging/deb/sysusers.conf "$tree/usr/lib/sysusers.d/evacuator.conf"
install -m 644 packaging/deb/evacuator.conf "$tree/etc/evacuator/evacuator.conf"
install -m 644 packaging/completion/evacuator "$tree/usr/share/bash-completion/completions/evacuator"
install -m 644 packaging/deb/copyright "$tree/usr/share/doc/evacuator/copyright"
install -m 644 packaging/deb/lintian-overrides "$tree/usr/share/lintian/overrides/evacuator"
for page in packaging/man/*.[158]; do
    gzip -9nc "$page" >"$tree/usr/share/man/man${page##*.}/$(basename "$page").gz"
done
{
    printf 'evacuator (%s) unstable; urgency=medium\n\n  * See CHANGELOG.md of the project.\n\n' "$version"
    printf ' -- The Evacuator project <evacuator@localhost>  %s\n' "$(date -R -u -d "@$SOURCE_DATE_EPOCH")"
} | gzip -9n >"$tree/usr/share/doc/evacuator/changelog.gz"

# 5. Control files.
install -d "$tree/DEBIAN"
sed -e "s/@VERSION@/$version/" -e "s/@SIZE@/$(du -k -s --apparent-size "$tree" | cut -f 1)/" packaging/deb/control.in >"$tree/DEBIAN/control"
install -m 644 packaging/deb/conffiles "$tree/DEBIAN/conffiles"
install -m 755 packaging/deb/{postinst,prerm,postrm} "$tree/DEBIAN/"
(cd "$tree" && find . -path ./DEBIAN -prune -o -type f ! -path './etc/*' -printf '%P\0' | sort -z | xargs -0 md5sum >DEBIAN/md5sums)

# 6. Modes and times that do not depend on who builds, then the package under its name in one step.
find "$tree" -type d -exec chmod 755 {} +
find "$lib" -type f -exec chmod 644 {} +
chmod 755 "$lib/evacuator" "$lib/evacuator-agent" "$lib/createdump" "$lib/dump-trial"
find "$tree" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
# gzip: xz takes five times as long to save a fifth, and lintian knows no zstd.
say "packing"
dpkg-deb --root-owner-group -Zgzip -z6 --build "$tree" "$artifacts/.package.deb" >&2
mv "$artifacts/.package.deb" "$package"
printf '%s\n' "$stamp" >"$package.stamp"
say "$(du -h "$package" | cut -f 1) in $SECONDS s"
printf '%s\n' "$package"
