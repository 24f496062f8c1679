/* launch.c - what a program costs from outside: launch PROGRAM ARGUMENTS... starts it several times and prints the
 * least milliseconds from before the fork to its first byte of output, and the most memory that was resident, in MB.
 * Links nothing, since a child's figure begins with what its parent held.
 */
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

enum { STARTS = 50 };

static double start(char **command, double *megabytes) {
    int ends[2];
    require(pipe(ends) == 0, "no pipe");
    double begin = wall();
    pid_t child = fork();
    require(child >= 0, "no process");
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execv(command[0], command);
        _exit(127);
    }
    close(ends[1]);
    char text[4096];
    ssize_t got = read(ends[0], text, sizeof(text));
    double seconds = wall() - begin;
    while (got > 0) got = read(ends[0], text, sizeof(text));
    close(ends[0]);
    int status;
    struct rusage usage;
    require(wait4(child, &status, 0, &usage) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0,
            "the program failed");
    *megabytes = (double)usage.ru_maxrss / 1024;
    return seconds;
}

int main(int argc, char **argv) {
    require(argc > 1, "usage: launch PROGRAM ARGUMENTS...");
    double least = INFINITY, most = 0, megabytes;
    for (int i = 0; i < STARTS; i++) {
        keep_least(&least, start(argv + 1, &megabytes));
        if (megabytes > most) most = megabytes;
    }
    report("launch.first_byte", least * 1e3);
    report("launch.resident", most);
    return 0;
}
