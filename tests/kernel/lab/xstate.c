/* Preloaded into linux.uml on hosts whose processor state is larger than it knows.
 *
 * User Mode Linux 6.1 keeps 2696 bytes of extended state (x87 to AVX-512 and PKRU). On a processor
 * with AMX the register set is 11008 bytes, and Linux accepts PTRACE_SETREGSET of NT_X86_XSTATE
 * only when all of it is given (EFAULT otherwise), so the guest's first process dies with "ptrace set
 * fp regs failed, errno = 14". Falling back to the 512 bytes of PTRACE_SETFPREGS boots, but loses
 * the upper halves of AVX registers at every page fault: glibc's string functions then return wrong
 * results. Here the missing tail is supplied, as "in initial state".
 *
 * Built without a C library's headers (gcc alone suffices).
 */
#define GETREGSET 0x4204
#define SETREGSET 0x4205
#define NT_X86_XSTATE 0x202
#define XSTATE_BV 512     /* offset of the bit vector of the components that are present */
#define KNOWN 0x3ff       /* components 0 to 9, all within the first 2696 bytes */

struct part { void *base; unsigned long length; };

extern int *__errno_location(void);

static unsigned char area[65536] __attribute__((aligned(64)));
static unsigned long host_length;

static long kernel(long request, long pid, unsigned long address, void *data)
{
    register void *fourth __asm__("r10") = data;
    long result;
    __asm__ volatile("syscall" : "=a"(result)
                     : "a"(101L), "D"(request), "S"(pid), "d"(address), "r"(fourth)
                     : "rcx", "r11", "memory");
    return result;
}

static void copy(unsigned char *to, const unsigned char *from, unsigned long count)
{
    while (count--)
        *to++ = *from++;
}

static long get(long pid, struct part *wanted)
{
    struct part whole = { area, sizeof area };
    long result = kernel(GETREGSET, pid, NT_X86_XSTATE, &whole);
    if (result < 0)
        return result;
    host_length = whole.length;
    if (wanted->length > host_length)
        wanted->length = host_length;
    copy(wanted->base, area, wanted->length);
    return result;
}

static long set(long pid, const struct part *given)
{
    struct part whole = { area, host_length };
    copy(area, given->base, given->length);
    for (unsigned long i = given->length; i < host_length; i++)
        area[i] = 0;
    *(unsigned long *)(area + XSTATE_BV) &= KNOWN;
    return kernel(SETREGSET, pid, NT_X86_XSTATE, &whole);
}

long ptrace(int request, int pid, unsigned long address, void *data)
{
    long word = 0, result;
    int peeks = request >= 1 && request <= 3; /* glibc returns the word, the kernel stores it */
    if (request == GETREGSET && address == NT_X86_XSTATE)
        result = get(pid, data);
    else if (request == SETREGSET && address == NT_X86_XSTATE
             && host_length > ((struct part *)data)->length)
        result = set(pid, data);
    else
        result = kernel(request, pid, address, peeks ? (void *)&word : data);
    if (result < 0) {
        *__errno_location() = (int)-result;
        return -1;
    }
    if (!peeks)
        return result;
    *__errno_location() = 0;
    return word;
}
