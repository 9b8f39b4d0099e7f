// The reaper. It runs instead of the Go program when the binary was started
// under the name "reaper", before the Go runtime exists, as the pause process
// does.
//
// argv: reaper NAME DIR. It starts the shim of the pod whose run directory is
// DIR, which sees NAME as its own, and stays until it has no children.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "reaper.h"

static void die(const char *what)
{
	dprintf(2, "reaper: %s: %s\n", what, strerror(errno));
	_exit(1);
}

// Only into a file that is there: nobody asks for the others.
static int note(const char *dir, const siginfo_t *end)
{
	char name[4096], code[16];
	if (snprintf(name, sizeof name, "%s/wait/%d", dir, end->si_pid) >= (int)sizeof name)
		return ENAMETOOLONG;
	int fd = open(name, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : errno;
	int n = snprintf(code, sizeof code, "%d\n",
			 end->si_code == CLD_EXITED ? end->si_status : 128 + end->si_status);
	int err = write(fd, code, n) == n ? 0 : errno;
	close(fd);
	return err;
}

int reaper_note(const char *dir, int pid)
{
	siginfo_t end;
	while (waitid(P_PID, pid, &end, WEXITED | WNOWAIT) < 0)
		if (errno != EINTR)
			return errno;
	return note(dir, &end);
}

static void reap(const char *dir)
{
	siginfo_t end;
	for (;;) {
		if (waitid(P_ALL, 0, &end, WEXITED | WNOWAIT) < 0) {
			if (errno == EINTR)
				continue;
			_exit(0); // there is nobody left
		}
		note(dir, &end); // first, for whoever finds the process gone
		waitpid(end.si_pid, NULL, 0);
	}
}

// Priority 101 as the pause process's: before libcontainer's nsexec.
__attribute__((constructor(101))) static void reaper_main(int argc, char **argv)
{
	if (argc != 3 || strcmp(argv[0], "reaper") != 0)
		return;
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		die("become a subreaper");
	// Where the kernel gives huge pages to all, one would hold the few KB of a
	// thread's stack. The shim and the pause process inherit this; what runs in
	// containers does not (container.Init).
	if (prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) < 0)
		die("do without huge pages");
	switch (fork()) {
	case -1:
		die("fork");
	case 0:
		execl("/proc/self/exe", argv[1], "pod", argv[2], NULL);
		die("start the shim");
	}
	prctl(PR_SET_NAME, "reaper", 0, 0, 0);
	for (int fd = 0; fd < 4; fd++) // the socket is the shim's
		close(fd);
	reap(argv[2]);
}
