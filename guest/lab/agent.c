// guest/lab/agent.c: PID 1 of the lab after switch_root. Runs the one command that tools/lab asks
// for and carries its standard streams, byte for byte, over virtio-serial ports:
//
//   /dev/vport0p1  control, lines of text both ways (below)
//   /dev/vport0p2  towards the lab: bytes of stdin; towards the host: bytes of stdout
//   /dev/vport0p3  towards the host: bytes of stderr
//
// The host says `start LENGTH` and then LENGTH bytes of NUL-terminated `key=value` strings: arg=
// and env= (repeatable), cwd=, tty= (three digits: is fd 0, 1, 2 a terminal), rows=, columns=, out=
// (a folder to be mounted writable), modules= (the kernel's modules), release= (its name). Later:
// `size ROWS COLUMNS`, `signal N`, `eof COUNT` (stdin ended after COUNT bytes), and empty lines,
// which only wake the machine. The agent says `ready`, then `exit STATUS OUT ERR` (OUT and ERR:
// bytes sent on ports 2 and 3) or `fail REASON` when the lab could not run the command.
//
// One relay process per stream copies with blocking calls, so a full stream holds up nothing else.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kMaxStrings = 4096 };

// What one relay has done; in memory shared with PID 1.
struct Progress {
    _Atomic uint64_t bytes;
    _Atomic bool busy;
};

struct Relay {
    pid_t pid;
    int source;
    struct Progress* progress;
};

struct Request {
    char* args[kMaxStrings + 1];
    char* env[kMaxStrings + 1];
    int arg_count, env_count;
    const char *cwd, *out, *modules, *release;
    bool tty[3];
    struct winsize size;
};

// The command's ends of its streams (slave side) and ours (master side); -1 where there is none.
struct Streams {
    int child[3];
    int ours[3];
    int pty;
};

static int control = -1;

static void tell(const char* format, ...) {
    char line[512];
    va_list list;
    va_start(list, format);
    int length = vsnprintf(line, sizeof line - 1, format, list);
    va_end(list);
    if (length > (int)sizeof line - 2) length = sizeof line - 2;
    line[length++] = '\n';
    for (int done = 0; done < length;) {
        ssize_t n = write(control, line + done, (size_t)(length - done));
        if (n > 0) done += (int)n;
    }
}

// Ends the lab with a reason; the host stops the machine when it reads it.
static _Noreturn void give_up(const char* what, const char* on) {
    tell("fail %s %s: %s", what, on, strerror(errno));
    for (;;)
        pause();
}

static int open_port(const char* path) {
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) give_up("cannot open", path);
    return fd;
}

static void read_fully(int fd, char* to, size_t length) {
    while (length > 0) {
        ssize_t n = read(fd, to, length);
        if (n > 0) {
            to += n;
            length -= (size_t)n;
        } else if (n < 0 && errno != EINTR) {
            give_up("cannot read", "the control port");
        } else if (n == 0) {
            usleep(10000);  // the host has not connected yet
        }
    }
}

// Reads one line without its end; the port has no buffering of its own that could read too far.
static void read_line(char* line, size_t capacity) {
    size_t length = 0;
    for (;;) {
        char c;
        read_fully(control, &c, 1);
        if (c == '\n') break;
        if (length + 1 < capacity) line[length++] = c;
    }
    line[length] = '\0';
}

static const char* value_of(const char* text, const char* key) {
    size_t length = strlen(key);
    return strncmp(text, key, length) == 0 ? text + length : NULL;
}

static void parse_string(char* text, struct Request* request) {
    const char* value;
    if ((value = value_of(text, "arg=")) && request->arg_count < kMaxStrings) {
        request->args[request->arg_count++] = (char*)value;
    } else if ((value = value_of(text, "env=")) && request->env_count < kMaxStrings) {
        request->env[request->env_count++] = (char*)value;
    } else if ((value = value_of(text, "cwd="))) {
        request->cwd = value;
    } else if ((value = value_of(text, "out="))) {
        request->out = value;
    } else if ((value = value_of(text, "modules="))) {
        request->modules = value;
    } else if ((value = value_of(text, "release="))) {
        request->release = value;
    } else if ((value = value_of(text, "rows="))) {
        request->size.ws_row = (unsigned short)atoi(value);
    } else if ((value = value_of(text, "columns="))) {
        request->size.ws_col = (unsigned short)atoi(value);
    } else if ((value = value_of(text, "tty="))) {
        for (int i = 0; i < 3 && value[i]; i++)
            request->tty[i] = value[i] == '1';
    }
}

static void receive_request(struct Request* request) {
    char line[64];
    size_t length;
    read_line(line, sizeof line);
    if (sscanf(line, "start %zu", &length) != 1) {
        errno = EPROTO;
        give_up("unexpected control line", line);
    }
    char* text = malloc(length + 1);
    if (!text) give_up("cannot hold", "the request");
    read_fully(control, text, length);
    text[length] = '\0';
    tell("ready");
    for (char* at = text; at < text + length; at += strlen(at) + 1)
        parse_string(at, request);
}

static void prepare_file_systems(const struct Request* request) {
    if (request->modules && request->release) {
        char link[256];
        snprintf(link, sizeof link, "/lib/modules/%s", request->release);
        mkdir("/lib/modules", 0755);
        if (symlink(request->modules, link) != 0 && errno != EEXIST) give_up("cannot make", link);
    }
    if (request->out && mount("out", request->out, "virtiofs", 0, NULL) != 0)
        give_up("cannot mount the output folder", request->out);
}

static void make_streams(const struct Request* request, struct Streams* streams) {
    int slave = -1;
    streams->pty = -1;
    if (request->tty[0] && openpty(&streams->pty, &slave, NULL, NULL, &request->size) != 0)
        give_up("cannot make", "a terminal");
    for (int i = 0; i < 3; i++) {
        int ends[2];
        if (request->tty[0] && request->tty[i]) {
            streams->child[i] = slave;
            streams->ours[i] = streams->pty;
            continue;
        }
        if (pipe(ends) != 0) give_up("cannot make", "a pipe");
        streams->child[i] = ends[i == 0 ? 0 : 1];
        streams->ours[i] = ends[i == 0 ? 1 : 0];
    }
    for (int i = 0; i < 3; i++)
        fcntl(streams->ours[i], F_SETFD, FD_CLOEXEC);
}

// Copies source to sink until either ends; PID 1 sees how far it is.
static _Noreturn void relay(int source, int sink, struct Progress* progress) {
    static char buffer[32768];
    for (;;) {
        struct pollfd ready = {.fd = source, .events = POLLIN};
        poll(&ready, 1, -1);
        progress->busy = true;
        ssize_t got = read(source, buffer, sizeof buffer);
        if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (got <= 0) _exit(0);
        for (ssize_t done = 0; done < got;) {
            ssize_t n = write(sink, buffer + done, (size_t)(got - done));
            if (n < 0 && errno != EINTR && errno != EAGAIN) _exit(0);
            if (n > 0) done += n;
        }
        progress->bytes += (uint64_t)got;
        progress->busy = false;
    }
}

static struct Relay start_relay(int source, int sink, struct Progress* progress,
                                const int unused[2]) {
    struct Relay result = {.source = source, .progress = progress};
    result.pid = fork();
    if (result.pid < 0) give_up("cannot fork", "a relay");
    if (result.pid == 0) {
        // The write end of another stream held here would hide that stream's end.
        for (int i = 0; i < 2; i++)
            if (unused[i] >= 0 && unused[i] != source && unused[i] != sink) close(unused[i]);
        relay(source, sink, progress);
    }
    return result;
}

static _Noreturn void become_command(struct Request* request, const struct Streams* streams) {
    setsid();
    for (int i = 0; i < 3; i++)
        dup2(streams->child[i], i);
    if (request->tty[0]) ioctl(0, TIOCSCTTY, 0);
    for (int i = 0; i < 3; i++)
        if (streams->child[i] > 2) close(streams->child[i]);
    if (request->cwd && chdir(request->cwd) != 0) {
        dprintf(2, "lab: %s: %s\n", request->cwd, strerror(errno));
        _exit(126);
    }
    environ = request->env;
    execvp(request->args[0], request->args);
    int status = errno == ENOENT ? 127 : 126;
    dprintf(2, "lab: %s: %s\n", request->args[0], strerror(errno));
    _exit(status);
}

// All that the command itself wrote has been passed on. A background process may keep the stream
// open; what it writes later is lost with the lab. The order matters: the pipe first, then busy.
static bool drained(const struct Relay* relay) {
    int waiting = 0;
    if (kill(relay->pid, 0) != 0) return true;
    if (ioctl(relay->source, FIONREAD, &waiting) == 0 && waiting > 0) return false;
    return !relay->progress->busy;
}

// Reaps everything that ended; true when `command` is among it.
static bool reap(pid_t command, int* status) {
    bool ended = false;
    int result;
    for (pid_t pid; (pid = waitpid(-1, &result, WNOHANG)) > 0;) {
        if (pid != command) continue;
        ended = true;
        *status = WIFEXITED(result) ? WEXITSTATUS(result) : 128 + WTERMSIG(result);
    }
    return ended;
}

static void on_child(int signal) {
    (void)signal;
}

// Serves control lines until the command ends; returns its exit status.
static int supervise(pid_t command, struct Streams* streams, struct Relay* input) {
    uint64_t input_end = UINT64_MAX;
    sigset_t usual;
    int status = 0;
    sigprocmask(SIG_SETMASK, NULL, &usual);
    sigdelset(&usual, SIGCHLD);
    while (!reap(command, &status)) {
        struct pollfd ready = {.fd = control, .events = POLLIN};
        struct timespec soon = {.tv_nsec = 10000000};
        bool waiting = input_end != UINT64_MAX;
        if (waiting && input->progress->bytes >= input_end) {
            kill(input->pid, SIGKILL);
            if (streams->ours[0] >= 0 && streams->ours[0] != streams->pty) close(streams->ours[0]);
            streams->ours[0] = -1;
            input_end = UINT64_MAX;
            continue;
        }
        if (ppoll(&ready, 1, waiting ? &soon : NULL, &usual) <= 0) continue;
        char line[128];
        int first, second;
        uint64_t count;
        read_line(line, sizeof line);
        if (sscanf(line, "size %d %d", &first, &second) == 2 && streams->pty >= 0) {
            struct winsize size = {.ws_row = (unsigned short)first,
                                   .ws_col = (unsigned short)second};
            ioctl(streams->pty, TIOCSWINSZ, &size);
        } else if (sscanf(line, "signal %d", &first) == 1) {
            kill(-command, first);
        } else if (sscanf(line, "eof %ju", (uintmax_t*)&count) == 1) {
            input_end = count;
        }
    }
    return status;
}

int main(void) {
    static struct Request request;
    struct Streams streams;
    sigset_t blocked;
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGCHLD);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    struct sigaction action = {.sa_handler = on_child};
    sigaction(SIGCHLD, &action, NULL);

    control = open_port("/dev/vport0p1");
    int data = open_port("/dev/vport0p2");
    int error = open_port("/dev/vport0p3");
    receive_request(&request);
    prepare_file_systems(&request);
    make_streams(&request, &streams);

    struct Progress* progress =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (progress == MAP_FAILED) give_up("cannot map", "a page");
    pid_t command = fork();
    if (command < 0) give_up("cannot fork", "the command");
    if (command == 0) {
        signal(SIGPIPE, SIG_DFL);
        sigprocmask(SIG_UNBLOCK, &blocked, NULL);
        become_command(&request, &streams);
    }
    for (int i = 0; i < 3; i++)
        if (i == 0 || streams.child[i] != streams.child[0]) close(streams.child[i]);

    int not_input[2] = {streams.ours[1], streams.ours[2]};
    int not_output[2] = {streams.ours[0], streams.ours[2]};
    int not_error[2] = {streams.ours[0], streams.ours[1]};
    struct Relay input = start_relay(data, streams.ours[0], &progress[0], not_input);
    struct Relay output = start_relay(streams.ours[1], data, &progress[1], not_output);
    struct Relay errors = output;
    if (streams.ours[2] != streams.ours[1])
        errors = start_relay(streams.ours[2], error, &progress[2], not_error);

    int status = supervise(command, &streams, &input);
    while (!drained(&output) || !drained(&errors)) {
        int ignored;
        usleep(2000);
        reap(0, &ignored);
    }
    sync();
    tell("exit %d %ju %ju", status, (uintmax_t)progress[1].bytes, (uintmax_t)progress[2].bytes);
    for (;;)
        pause();
}
