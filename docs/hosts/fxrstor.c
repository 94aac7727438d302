/* The smallest program that takes a host with two emulated processors down, together with any guest on the first one:
 * the second processor restores its x87 state all the time. docs/hosts.md says why that is enough. */
#define _GNU_SOURCE
#include <sched.h>

int main(void)
{
    static char state[512] __attribute__((aligned(16)));
    cpu_set_t second;

    CPU_ZERO(&second);
    CPU_SET(1, &second);
    if (sched_setaffinity(0, sizeof second, &second))
        return 1;
    __asm__ volatile("fxsave %0" : "=m"(state));
    for (;;)
        __asm__ volatile("fxrstor %0" : : "m"(state));
}
