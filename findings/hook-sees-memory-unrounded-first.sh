#!/bin/sh
# The XML that libvirt hands its hook when a domain is about to start ("prepare") has the domain's memory as it was defined; the XML of the
# same start's next step ("start") has it rounded up to what QEMU is then given. A hook that admits a domain by what "prepare" says
# counts less than the domain gets.
#
# Seen on:   libvirt 9.0.0, Debian 12's libvirt-daemon and libvirt-daemon-driver-qemu 9.0.0-4+deb12u2; QEMU 7.2.22.
# Expected:  libvirt's page on hooks: the domain's XML is on the hook's stdin, and "prepare" is where a start can be refused. Its page on the
#            domain's XML says that <memory> "may be further rounded to the granularity supported by the hypervisor", but not when. As both
#            steps are of one start, with the machine's number in the XML already, one would think that both say the same.
# Output seen: as in "expected" below.
#
# Needs: root, overlayfs, apt-get (Debian 12), libvirt's libraries and qemu-system-x86_64 (no KVM). Exit status: 0 as found, 1 changed, 77
# can't be tried here.
set -eu

skip() {
	echo "skipped: $1"
	exit 77
}

version=9.0.0-4+deb12u2
qemu=/usr/bin/qemu-system-x86_64

# In namespaces of its own: the packages' files in a layer over this system's, and in it what libvirt has to itself. Nothing of that is
# seen outside, and what runs there ends with the first process.
layer() {
	mount -t tmpfs tmpfs "$folder/fs"
	mkdir "$folder/fs/upper" "$folder/fs/work" "$folder/fs/root"
	mount -t overlay -o "lowerdir=/,upperdir=$folder/fs/upper,workdir=$folder/fs/work" overlay "$folder/fs/root"
	cp -a "$folder"/unpacked/. "$folder/fs/root"
	for directory in dev sys; do
		mount --rbind "/$directory" "$folder/fs/root/$directory"
	done
	mount -t proc proc "$folder/fs/root/proc"
	for directory in run etc/libvirt var/lib/libvirt var/log/libvirt var/cache/libvirt; do
		mkdir -p "$folder/fs/root/$directory"
		mount -t tmpfs -o mode=755 tmpfs "$folder/fs/root/$directory"
	done
	cp "$0" "$folder/fs/root/run/finding"
}

start_libvirt() {
	mkdir -p /run/libvirt
	printf '%s\n' 'cgroup_controllers = [ ]' 'namespaces = [ ]' 'security_driver = "none"' 'stdio_handler = "file"' 'user = "nobody"' \
		'group = "nogroup"' >/etc/libvirt/qemu.conf
	libvirtd >/run/log 2>&1 &
	for _ in $(seq 600); do
		virsh list >/dev/null 2>&1 && return
		sleep 0.1
	done
	return 1
}

show() {
	mkdir /etc/libvirt/hooks
	cat >/etc/libvirt/hooks/qemu <<-'END'
		#!/bin/sh
		echo "$2: $(sed -n 's,.*<memory unit=.KiB.>\(.*\)</memory>.*,\1,p')" >>/run/seen
	END
	chmod +x /etc/libvirt/hooks/qemu
	cat >/run/domain.xml <<-END
		<domain type='qemu'><name>finding</name><memory unit='KiB'>65537</memory><vcpu>1</vcpu>
		<os><type arch='x86_64' machine='pc'>hvm</type></os>
		<devices><emulator>$qemu</emulator><memballoon model='none'/></devices></domain>
	END
	start_libvirt && virsh define /run/domain.xml && virsh start finding || return 77
	virsh destroy finding
}

case ${1:-} in
layer)
	folder=$2
	layer && exec chroot "$folder/fs/root" sh /run/finding show
	exit 77
	;;
show)
	show >/run/said 2>&1 || {
		status=$?
		tail -n 3 /run/said /run/log >&2
		exit "$status"
	}
	libvirtd --version >&2
	sed -n '/^prepare:/p; /^start:/p; /^started:/p' /run/seen
	exit
	;;
esac

[ "$(id -u)" = 0 ] || skip "not root"
[ -x "$qemu" ] || skip "no $qemu"
command -v apt-get >/dev/null || skip "no apt-get"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' INT TERM PIPE

# Nothing is installed on the system.
mkdir "$folder/fs" "$folder/packages"
(
	cd "$folder/packages"
	apt-get download "libvirt0=$version" "libvirt-daemon=$version" "libvirt-daemon-driver-qemu=$version" "libvirt-clients=$version" >log 2>&1
) || skip "no packages: $(tail -n 1 "$folder/packages/log")"
for package in "$folder"/packages/*.deb; do
	dpkg-deb -x "$package" "$folder/unpacked"
done

cat >"$folder/expected" <<'END'
prepare: 65537
start: 66560
started: 66560
END
status=0
unshare --mount --propagation private --pid --fork --kill-child=KILL sh "$0" layer "$folder" >"$folder/seen" 2>"$folder/log" || status=$?
[ "$status" != 77 ] || skip "libvirt starts no domain here: $(cat "$folder/log")"
cat "$folder/log"
"$qemu" --version | head -n 1
cat "$folder/seen"
if [ "$status" = 0 ] && diff -u "$folder/expected" "$folder/seen"; then
	echo "as found"
else
	echo "changed: status $status, and what differs is above"
	exit 1
fi
