#!/bin/sh
# Where libvirt's QEMU user may not open /dev/kvm by the node's mode, and QEMU has KVM all the same, libvirt asks QEMU what it offers at each
# look-up anew, by starting it twice, and never keeps the answer. That is so on a host whose /dev/kvm is root's alone: libvirt starts
# QEMU for the question as its QEMU user with CAP_DAC_OVERRIDE, with which QEMU opens the device and says that it has KVM; libvirt
# asks access(2), which says that the user may not, and takes what it has kept for out of date.
#
# Seen on:   libvirt 9.0.0, Debian 12's libvirt-daemon and libvirt-daemon-driver-qemu 9.0.0-4+deb12u2; QEMU 7.2.22.
# Expected:  libvirt keeps what an emulator offers until the emulator, libvirt or the host changes: the second look-up starts no QEMU, whatever
#            the node's mode. A definition then takes many times as long, and nothing says why.
# Output seen: as in "expected" below.
#
# Needs: root, KVM, overlayfs, apt-get (Debian 12), libvirt's libraries and qemu-system-x86_64. Exit status: 0 as found, 1 changed, 77 can't
# be tried here.
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

# How often the emulator is started for each of three look-ups, by a libvirtd that has kept nothing yet.
count_starts() { # the node's mode
	chmod "$1" /dev/kvm
	rm -rf /var/cache/libvirt/qemu
	start_libvirt || return 77
	for look_up in first second third; do
		: >/run/starts
		virsh domcapabilities --virttype kvm --machine pc --emulatorbin /run/emulator >/dev/null || return 77
		echo "/dev/kvm $1, the $look_up look-up: $(wc -l </run/starts) starts" >>/run/seen
	done
	kill $!
	wait $! || :
}

show() {
	mknod /run/kvm c $((0x$(stat -c %t /dev/kvm))) $((0x$(stat -c %T /dev/kvm)))
	mount --bind /run/kvm /dev/kvm
	: >/run/starts
	chmod 666 /run/starts
	printf '%s\n' '#!/bin/sh' 'echo start >>/run/starts' "exec $qemu \"\$@\"" >/run/emulator
	chmod 755 /run/emulator
	count_starts 600 && count_starts 666
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
	cat /run/seen
	exit
	;;
esac

[ "$(id -u)" = 0 ] || skip "not root"
[ -x "$qemu" ] || skip "no $qemu"
[ -w /dev/kvm ] || skip "no /dev/kvm"
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
/dev/kvm 600, the first look-up: 2 starts
/dev/kvm 600, the second look-up: 2 starts
/dev/kvm 600, the third look-up: 2 starts
/dev/kvm 666, the first look-up: 2 starts
/dev/kvm 666, the second look-up: 0 starts
/dev/kvm 666, the third look-up: 0 starts
END
status=0
unshare --mount --propagation private --pid --fork --kill-child=KILL sh "$0" layer "$folder" >"$folder/seen" 2>"$folder/log" || status=$?
[ "$status" != 77 ] || skip "libvirt says nothing here: $(cat "$folder/log")"
cat "$folder/log"
"$qemu" --version | head -n 1
cat "$folder/seen"
if [ "$status" = 0 ] && diff -u "$folder/expected" "$folder/seen"; then
	echo "as found"
else
	echo "changed: status $status, and what differs is above"
	exit 1
fi
