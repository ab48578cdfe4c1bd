// Keeps known values in every general and vector register and compares them for as long as it runs. Exits with 1 and says which changed; prints "alive" when told to end.
#include <immintrin.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t done;
static void stop(int s) { (void)s; done = 1; }

static uint64_t general[2][16] __attribute__((aligned(64)));
static unsigned char vectors[2][32 * 64] __attribute__((aligned(64)));

#define ROUND(WIDE, LOADS, STORES)                                                                            \
    __asm__ volatile(                                                                                         \
        "push %%rbp\n push %%rbx\n push %%rdi\n push %%rsi\n"                                                 \
        LOADS                                                                                                 \
        "mov 0(%%rdi),%%rax\n mov 8(%%rdi),%%rbx\n mov 16(%%rdi),%%r8\n mov 24(%%rdi),%%r9\n"                 \
        "mov 32(%%rdi),%%r10\n mov 40(%%rdi),%%r11\n mov 48(%%rdi),%%r12\n mov 56(%%rdi),%%r13\n"             \
        "mov 64(%%rdi),%%r14\n mov 72(%%rdi),%%r15\n mov 80(%%rdi),%%rbp\n mov 88(%%rdi),%%rdx\n"             \
        "mov $200000,%%ecx\n 1: dec %%ecx\n jnz 1b\n"                                                         \
        "mov 0(%%rsp),%%rsi\n mov 8(%%rsp),%%rdi\n"                                                           \
        "mov %%rax,128(%%rdi)\n mov %%rbx,136(%%rdi)\n mov %%r8,144(%%rdi)\n mov %%r9,152(%%rdi)\n"           \
        "mov %%r10,160(%%rdi)\n mov %%r11,168(%%rdi)\n mov %%r12,176(%%rdi)\n mov %%r13,184(%%rdi)\n"         \
        "mov %%r14,192(%%rdi)\n mov %%r15,200(%%rdi)\n mov %%rbp,208(%%rdi)\n mov %%rdx,216(%%rdi)\n"         \
        STORES                                                                                                \
        "pop %%rsi\n pop %%rdi\n pop %%rbx\n pop %%rbp\n"                                                     \
        : : "D"(&general[0][0]), "S"(&vectors[0][0])                                                          \
        : "rax", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc")

#define L(n, i, r) i " " #n "*64(%%rsi),%%" r #n "\n"
#define S(n, i, r) i " %%" r #n ",2048+" #n "*64(%%rsi)\n"
#define ALL16(M, i, r) M(0, i, r) M(1, i, r) M(2, i, r) M(3, i, r) M(4, i, r) M(5, i, r) M(6, i, r) M(7, i, r) M(8, i, r) M(9, i, r) M(10, i, r) M(11, i, r) M(12, i, r) M(13, i, r) M(14, i, r) M(15, i, r)
#define HIGH16(M, i, r) M(16, i, r) M(17, i, r) M(18, i, r) M(19, i, r) M(20, i, r) M(21, i, r) M(22, i, r) M(23, i, r) M(24, i, r) M(25, i, r) M(26, i, r) M(27, i, r) M(28, i, r) M(29, i, r) M(30, i, r) M(31, i, r)

static void fill(void *p, size_t n)
{
    unsigned char *b = p;
    for (size_t i = 0; i < n; i++) b[i] = (unsigned char)rand();
}

int main(void)
{
    signal(SIGTERM, stop);
    int avx512 = __builtin_cpu_supports("avx512f"), avx = __builtin_cpu_supports("avx");
    int registers = avx512 ? 32 : 16, width = avx512 ? 64 : avx ? 32 : 16;
    unsigned long rounds = 0;
    puts("ready"); fflush(stdout);
    while (!done) {
        fill(general[0], sizeof general[0]);
        fill(vectors[0], sizeof vectors[0]);
        memcpy(general[1], general[0], 0);
        if (avx512) ROUND(64, ALL16(L, "vmovdqa64", "zmm") HIGH16(L, "vmovdqa64", "zmm"), ALL16(S, "vmovdqa64", "zmm") HIGH16(S, "vmovdqa64", "zmm"));
        else if (avx) ROUND(32, ALL16(L, "vmovdqa", "ymm"), ALL16(S, "vmovdqa", "ymm"));
        else ROUND(16, ALL16(L, "movdqa", "xmm"), ALL16(S, "movdqa", "xmm"));
        for (int i = 0; i < 12; i++)
            if (general[0][i] != general[1][i]) { printf("general register %d changed after %lu rounds: %lx != %lx\n", i, rounds, general[0][i], general[1][i]); return 1; }
        for (int r = 0; r < registers; r++)
            if (memcmp(&vectors[0][r * 64], &vectors[1][r * 64], (size_t)width)) { printf("vector register %d changed after %lu rounds\n", r, rounds); return 1; }
        rounds++;
    }
    printf("alive after %lu rounds, %d-byte vectors\n", rounds, width);
    return 0;
}
