// The pause process. It runs instead of the Go program when the binary was
// started under the name "/pause", before the Go runtime exists: it is one
// thread, touches a few pages, and never returns from here.
//
// It starts in an empty directory; its arguments say nothing, because a container
// may see them. File descriptor 3 is the receiving end of the rack, 4 its sending
// end (see rack.go).
#define _GNU_SOURCE
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RACK 3
#define NOBODY 65534
#define MAX_FDS 16

static void die(const char *what)
{
	dprintf(2, "pause: %s: %s\n", what, strerror(errno));
	_exit(1);
}

// Leave the node's file system, or this process would keep every volume busy
// that was mounted when it started.
static void enter_empty_root(void)
{
	char dir[PATH_MAX];
	if (getcwd(dir, sizeof dir) == NULL)
		die("find the empty root");
	if (mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		die("make mounts private");
	if (mount(dir, dir, NULL, MS_BIND, NULL) < 0 || chdir(dir) < 0)
		die("bind the empty root");
	if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0)
		die("pivot into the empty root");
}

// A container that shares the PID namespace sees this process. It must get
// neither capabilities from it, nor our binary through /proc/1/exe.
static void drop_privileges(void)
{
	if (setgroups(0, NULL) < 0 && errno != EPERM)
		die("drop groups");
	if (setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0)
		die("become nobody");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		die("give up privileges");
}

// One datagram says {first slot, number of slots}. It carries that many file
// descriptors to keep in these slots, or none to empty them.
static void receive(void)
{
	int32_t slots[2];
	char control[CMSG_SPACE(MAX_FDS * sizeof(int))];
	struct iovec iov = { slots, sizeof slots };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
			      .msg_control = control, .msg_controllen = sizeof control };
	if (recvmsg(RACK, &msg, MSG_CMSG_CLOEXEC) != sizeof slots)
		return;
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	if (c == NULL) {
		for (int i = 0; i < slots[1]; i++)
			close(slots[0] + i);
		return;
	}
	int n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	int *fds = (int *)CMSG_DATA(c);
	for (int i = 0; i < n; i++) {
		if (fds[i] == slots[0] + i)
			continue;
		dup3(fds[i], slots[0] + i, 0);
		close(fds[i]);
	}
}

static void pause_forever(void)
{
	// PID 1 of a shared namespace inherits orphans. Ignoring SIGCHLD makes
	// the kernel reap them (sigaction(2), NOTES).
	signal(SIGCHLD, SIG_IGN);
	prctl(PR_SET_NAME, "pause", 0, 0, 0);
	enter_empty_root();
	drop_privileges();
	if (write(1, "ok", 2) != 2) // tells the shim that nothing failed
		die("report");
	char stay[4];
	if (read(0, stay, sizeof stay) != sizeof stay)
		_exit(1); // the shim died before it had noted us down
	close(0);
	close(1);
	close(2);
	for (;;)
		receive();
}

// Priority 101, the first that programs may use: before libcontainer's nsexec.
__attribute__((constructor(101))) static void pause_main(int argc, char **argv)
{
	if (argc == 1 && strcmp(argv[0], "/pause") == 0)
		pause_forever();
}
