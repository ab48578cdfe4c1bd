// Kills itself by its own filter at userfaultfd, mmap, ptrace and memory calls that a tracker might be tempted to make in its name; counts until SIGTERM.
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#define DENY(n) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, n, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)
static volatile sig_atomic_t done;
static void on_term(int s) { (void)s; done = 1; }
int main(void)
{
    signal(SIGTERM, on_term);
    size_t bytes = 8 << 20;
    char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(memory, 1, bytes);
    puts("ready"); fflush(stdout);
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        DENY(SYS_userfaultfd), DENY(SYS_mmap), DENY(SYS_mprotect), DENY(SYS_ptrace), DENY(SYS_memfd_create), DENY(SYS_clone),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof filter / sizeof *filter, filter };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) return 2;
    for (unsigned long i = 0; !done; i++) {
        memory[i * 4096 % bytes]++;
        if (i % 256 == 0) { struct timespec t = { 0, 1000000 }; nanosleep(&t, NULL); }
    }
    static const char text[] = "alive\n";
    return write(1, text, sizeof text - 1) > 0 ? 0 : 1;
}
