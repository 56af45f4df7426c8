// SPDX-License-Identifier: Apache-2.0
/*
 * The traffic of one measurement, and what became of it: every role is a process in a network namespace, all of them
 * share one window of time, and each prints one line of JSON at its end, in the order in which they were given.
 *
 *   load FROM_MS UNTIL_MS [EVERY_MS] -- ROLE key=value ... [-- ROLE key=value ...]
 *
 * Senders begin at time 0 and end at UNTIL_MS (or at their own start=/stop=); what is counted is FROM_MS to UNTIL_MS.
 * EVERY_MS: receivers also tell their bytes in each such part of the window. Sockets end by reset, so that no send buffer
 * drains into the next measurement.
 *
 *   sink port= proto=tcp|udp [cc=]                                  counts payload
 *   echo port= size=                                                answers every SIZE bytes with as many
 *   bulk to= port= [flows=1] [cc=cubic] [ecn=2]                     as much as TCP sends
 *   udp  to= port= kbps= [size=1400] [segments=1]                   payload at a rate, whoever listens (UDP_SEGMENT if > 1)
 *   rr   to= port= [size=100] [pause_us=1000] [connections=1] [cc=cubic] [ecn=2]   request, response, pause
 *   txtime to= port= kbps= ahead_ms= [size=18]                      as udp, each with a departure time to come
 *
 * ecn= is net.ipv4.tcp_ecn of the whole namespace: 1 asks for it, 2 only accepts it.
 * Every role: netns= (none: this one), start=MS stop=MS. Line 1 is of this program: {"startNs": CLOCK_MONOTONIC at time 0}.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/net_tstamp.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MS 1000000ull
#define SECOND 1000000000ull
#define MAX_ROLES 32
#define MAX_SAMPLES 4096
#define MAX_LATENCIES 400000
#define CHUNK 65536
/* Receivers listen longer than senders send: what waits in queues still arrives. */
#define DRAIN (300 * MS)
/* Until all roles are ready. */
#define LEAD (20 * MS)
#define LEAD_EACH (5 * MS)
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

static uint64_t begin, window_from, window_until, every;

struct role {
	const char *kind;
	char **args; /* "key=value", NULL at the end */
};

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * SECOND + t.tv_nsec;
}

static struct timespec timespec_of(uint64_t ns)
{
	return (struct timespec){ .tv_sec = ns / SECOND, .tv_nsec = ns % SECOND };
}

static void sleep_until(uint64_t when)
{
	struct timespec t = timespec_of(when);

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}

static _Noreturn void fail(const char *format, ...)
{
	va_list args;
	int error = errno;

	va_start(args, format);
	fprintf(stderr, "load: ");
	vfprintf(stderr, format, args);
	fprintf(stderr, " (%s)\n", strerror(error));
	va_end(args);
	exit(1);
}

static const char *text(const struct role *role, const char *key, const char *otherwise)
{
	size_t length = strlen(key);

	for (char **arg = role->args; *arg; arg++)
		if (!strncmp(*arg, key, length) && (*arg)[length] == '=')
			return *arg + length + 1;
	if (!otherwise) {
		errno = EINVAL;
		fail("%s needs %s=", role->kind, key);
	}
	return otherwise;
}

static long number(const struct role *role, const char *key, const char *otherwise)
{
	return strtol(text(role, key, otherwise), NULL, 10);
}

static uint64_t start_of(const struct role *role)
{
	return begin + number(role, "start", "0") * MS;
}

static uint64_t stop_of(const struct role *role)
{
	long stop = number(role, "stop", "-1");

	return stop < 0 ? window_until : begin + stop * MS;
}

static bool in_window(uint64_t time)
{
	return time >= window_from && time < window_until;
}

static void option(int fd, int level, int name, int value)
{
	if (setsockopt(fd, level, name, &value, sizeof(value)))
		fail("socket option %d/%d", level, name);
}

static void congestion(int fd, const char *name)
{
	if (*name && setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, strlen(name)))
		fail("congestion control %s", name);
}

/* Of this role's namespace. */
static void write_sysctl(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		fail("%s", path);
	close(fd);
}

static struct sockaddr_in6 address_of(const struct role *role)
{
	const char *to = text(role, "to", NULL);
	struct sockaddr_in6 address = { .sin6_family = AF_INET6, .sin6_port = htons(number(role, "port", NULL)) };
	char mapped[64];

	/* IPv4 as ::ffff:a.b.c.d: one kind of socket for both. */
	snprintf(mapped, sizeof(mapped), strchr(to, ':') ? "%s" : "::ffff:%s", to);
	if (inet_pton(AF_INET6, mapped, &address.sin6_addr) != 1)
		fail("address %s", to);
	return address;
}

static int listen_on(const struct role *role, int type)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons(number(role, "port", NULL)) };
	int fd = socket(AF_INET6, type | SOCK_NONBLOCK, 0);

	if (fd < 0)
		fail("socket");
	option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (bind(fd, (struct sockaddr *)&any, sizeof(any)))
		fail("port %ld", number(role, "port", NULL));
	if (type == SOCK_STREAM && listen(fd, 1024))
		fail("listen");
	return fd;
}

static void watch(int epoll, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event event = { .events = events, .data.u64 = data };

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
		fail("epoll");
}

/* Events until `deadline`; 0: it has come. */
static int wait_events(int epoll, struct epoll_event *events, int count, uint64_t deadline)
{
	for (;;) {
		uint64_t time = now();
		struct timespec rest;
		int found;

		if (time >= deadline)
			return 0;
		rest = timespec_of(deadline - time);
		found = epoll_pwait2(epoll, events, count, &rest, NULL);
		if (found > 0)
			return found;
		if (found < 0 && errno != EINTR)
			fail("epoll_wait");
	}
}

static void end_by_reset(int fd)
{
	struct linger linger = { .l_onoff = 1 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	close(fd);
}

/* ---- receivers ---- */

static uint64_t received, received_in_all, datagrams, datagrams_in_all, samples[MAX_SAMPLES];
static uint64_t first_ns, last_ns;

static void count(uint64_t bytes, uint64_t packets)
{
	uint64_t time = now();

	if (!first_ns)
		first_ns = time;
	last_ns = time;
	received_in_all += bytes;
	datagrams_in_all += packets;
	if (!in_window(time))
		return;
	received += bytes;
	datagrams += packets;
	if (every && (time - window_from) / every < MAX_SAMPLES)
		samples[(time - window_from) / every] += bytes;
}

/* Bytes of each datagram in what UDP_GRO put together; 0: it is a single one. */
static int segment_size(struct msghdr *message)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c))
		if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO)
			return *(int *)CMSG_DATA(c);
	return 0;
}

static void take_datagrams(int fd)
{
	static char buffer[CHUNK], control[128];

	for (;;) {
		struct iovec part = { buffer, sizeof(buffer) };
		struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
		ssize_t size = recvmsg(fd, &message, 0);
		int each;

		if (size < 0)
			return;
		each = segment_size(&message);
		count(size, each > 0 && size ? (size + each - 1) / each : 1);
	}
}

static void run_sink(const struct role *role)
{
	bool udp = !strcmp(text(role, "proto", "tcp"), "udp");
	int epoll = epoll_create1(0), listener = listen_on(role, udp ? SOCK_DGRAM : SOCK_STREAM), found;
	struct epoll_event events[64];

	if (udp) {
		option(listener, IPPROTO_UDP, UDP_GRO, 1);
		option(listener, SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20);
	} else {
		congestion(listener, text(role, "cc", ""));
	}
	watch(epoll, listener, EPOLLIN, listener);
	while ((found = wait_events(epoll, events, 64, window_until + DRAIN)) > 0) {
		for (int i = 0; i < found; i++) {
			int fd = events[i].data.u64, accepted;

			if (fd != listener) {
				/* MSG_TRUNC: taken without being copied. */
				ssize_t size = recv(fd, NULL, 1 << 20, MSG_TRUNC);

				if (size > 0)
					count(size, 0);
				else if (size == 0 || errno != EAGAIN)
					close(fd);
			} else if (udp) {
				take_datagrams(fd);
			} else {
				while ((accepted = accept4(fd, NULL, NULL, SOCK_NONBLOCK)) >= 0)
					watch(epoll, accepted, EPOLLIN, accepted);
			}
		}
	}
	printf("{\"role\":\"sink\",\"port\":%ld,\"bytes\":%lu,\"allBytes\":%lu,\"datagrams\":%lu,\"allDatagrams\":%lu,"
	       "\"firstMs\":%.3f,\"lastMs\":%.3f,\"samples\":[",
	       number(role, "port", NULL), received, received_in_all, datagrams, datagrams_in_all,
	       first_ns ? ((double)first_ns - begin) / MS : -1, first_ns ? ((double)last_ns - begin) / MS : -1);
	for (uint64_t i = 0; every && i < (window_until - window_from) / every && i < MAX_SAMPLES; i++)
		printf("%s%lu", i ? "," : "", samples[i]);
	printf("]}\n");
}

static void run_echo(const struct role *role)
{
	int epoll = epoll_create1(0), listener = listen_on(role, SOCK_STREAM), found;
	size_t size = number(role, "size", "100");
	static char buffer[CHUNK];
	static size_t pending[65536]; /* by descriptor */
	struct epoll_event events[64];

	congestion(listener, text(role, "cc", ""));
	watch(epoll, listener, EPOLLIN, listener);
	while ((found = wait_events(epoll, events, 64, window_until + DRAIN)) > 0) {
		for (int i = 0; i < found; i++) {
			int fd = events[i].data.u64, accepted;
			ssize_t got;

			if (fd == listener) {
				while ((accepted = accept4(fd, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
					option(accepted, IPPROTO_TCP, TCP_NODELAY, 1);
					pending[accepted] = 0;
					watch(epoll, accepted, EPOLLIN, accepted);
				}
				continue;
			}
			got = recv(fd, buffer, sizeof(buffer), 0);
			if (got == 0 || (got < 0 && errno != EAGAIN))
				close(fd);
			if (got <= 0)
				continue;
			for (pending[fd] += got; pending[fd] >= size; pending[fd] -= size)
				if (send(fd, buffer, size, MSG_NOSIGNAL) < 0)
					break;
		}
	}
	printf("{\"role\":\"echo\"}\n");
}

/* ---- senders ---- */

static int tcp_to(const struct role *role, const struct sockaddr_in6 *to)
{
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);

	if (fd < 0)
		fail("socket");
	congestion(fd, text(role, "cc", "cubic"));
	option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (connect(fd, (const struct sockaddr *)to, sizeof(*to)) && errno != EINPROGRESS)
		fail("connecting to %s", text(role, "to", NULL));
	return fd;
}

static void run_bulk(const struct role *role)
{
	struct sockaddr_in6 to = address_of(role);
	int flows = number(role, "flows", "1"), epoll = epoll_create1(0), found, *fds = calloc(flows, sizeof(int));
	uint64_t retransmits = 0, segments = 0, marked = 0, rtt = 0;
	static char buffer[CHUNK];
	struct epoll_event events[128];

	write_sysctl("/proc/sys/net/ipv4/tcp_ecn", text(role, "ecn", "2"));
	sleep_until(start_of(role));
	for (int i = 0; i < flows; i++) {
		fds[i] = tcp_to(role, &to);
		watch(epoll, fds[i], EPOLLOUT, fds[i]);
	}
	while ((found = wait_events(epoll, events, 128, stop_of(role))) > 0)
		for (int i = 0; i < found; i++)
			if (send(events[i].data.u64, buffer, sizeof(buffer), MSG_NOSIGNAL) < 0 && errno != EAGAIN)
				fail("sending to %s", text(role, "to", NULL));
	for (int i = 0; i < flows; i++) {
		struct tcp_info info = {};
		socklen_t length = sizeof(info);

		if (getsockopt(fds[i], IPPROTO_TCP, TCP_INFO, &info, &length))
			fail("TCP_INFO");
		retransmits += info.tcpi_total_retrans;
		segments += info.tcpi_segs_out;
		marked += info.tcpi_delivered_ce;
		rtt += info.tcpi_rtt;
		end_by_reset(fds[i]);
	}
	printf("{\"role\":\"bulk\",\"retransmits\":%lu,\"segments\":%lu,\"marked\":%lu,\"rttUs\":%lu}\n", retransmits, segments,
	       marked, rtt / flows);
}

static void run_datagrams(const struct role *role, bool with_departure)
{
	struct sockaddr_in6 to = address_of(role);
	size_t size = number(role, "size", with_departure ? "18" : "1400"), segments = number(role, "segments", "1");
	uint64_t kbps = number(role, "kbps", NULL), start = start_of(role), stop = stop_of(role), sent = 0, refused = 0;
	uint64_t ahead = with_departure ? number(role, "ahead_ms", NULL) * MS : 0;
	int fd = socket(AF_INET6, SOCK_DGRAM, 0);
	static char buffer[CHUNK];

	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)))
		fail("datagrams to %s", text(role, "to", NULL));
	if (segments > 1)
		option(fd, IPPROTO_UDP, UDP_SEGMENT, size);
	if (with_departure) {
		struct sock_txtime clock = { .clockid = CLOCK_MONOTONIC };

		if (setsockopt(fd, SOL_SOCKET, SO_TXTIME, &clock, sizeof(clock)))
			fail("SO_TXTIME");
	}
	for (uint64_t i = 0;; i++) {
		uint64_t when = start + i * size * segments * 8 * 1000000 / kbps;
		char control[CMSG_SPACE(sizeof(uint64_t))] = {};
		struct iovec part = { buffer, size * segments };
		struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

		if (when >= stop)
			break;
		sleep_until(when);
		if (with_departure) {
			struct cmsghdr *c;
			uint64_t departure = now() + ahead;

			message.msg_control = control;
			message.msg_controllen = sizeof(control);
			c = CMSG_FIRSTHDR(&message);
			c->cmsg_level = SOL_SOCKET;
			c->cmsg_type = SCM_TXTIME;
			c->cmsg_len = CMSG_LEN(sizeof(departure));
			memcpy(CMSG_DATA(c), &departure, sizeof(departure));
		}
		if (sendmsg(fd, &message, 0) < 0)
			refused += segments;
		else
			sent += segments;
	}
	printf("{\"role\":\"udp\",\"sent\":%lu,\"refused\":%lu,\"bytes\":%lu}\n", sent, refused, sent * size);
}

/* A connection of rr: sent_ns is set while a response is awaited, else next_ns is when the next request is due. */
struct caller {
	int fd;
	size_t got;
	uint64_t sent_ns, next_ns;
	uint32_t *latencies; /* us x 10 */
	size_t count;
};

static int by_size(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* us; the least value that `share` of them do not exceed. */
static double percentile(const uint32_t *sorted, size_t length, double share)
{
	size_t rank = (size_t)(share * length + 0.999999);

	return length ? sorted[(rank ? rank : 1) - 1] / 10.0 : -1;
}

static void note_latency(struct caller *caller, uint64_t time, size_t most)
{
	uint64_t tenths = (time - caller->sent_ns) / 100;

	if (in_window(caller->sent_ns) && caller->count < most)
		caller->latencies[caller->count++] = tenths > UINT32_MAX ? UINT32_MAX : tenths;
	caller->sent_ns = 0;
}

static void print_latencies(uint32_t *values, size_t length)
{
	qsort(values, length, sizeof(*values), by_size);
	printf("\"count\":%zu,\"p50Us\":%.1f,\"p90Us\":%.1f,\"p99Us\":%.1f,\"maxUs\":%.1f", length, percentile(values, length, 0.5),
	       percentile(values, length, 0.9), percentile(values, length, 0.99), percentile(values, length, 1));
}

static void run_rr(const struct role *role)
{
	struct sockaddr_in6 to = address_of(role);
	size_t size = number(role, "size", "100"), connections = number(role, "connections", "1"), all = 0;
	size_t most = MAX_LATENCIES / connections;
	uint64_t pause = number(role, "pause_us", "1000") * 1000, stop = stop_of(role);
	struct caller *callers = calloc(connections, sizeof(*callers));
	uint32_t *every_one = calloc(MAX_LATENCIES, sizeof(uint32_t));
	int epoll = epoll_create1(0);
	static char buffer[CHUNK];

	write_sysctl("/proc/sys/net/ipv4/tcp_ecn", text(role, "ecn", "2"));
	sleep_until(start_of(role));
	for (size_t i = 0; i < connections; i++) {
		callers[i].fd = tcp_to(role, &to);
		callers[i].latencies = calloc(most, sizeof(uint32_t));
		/* Not all in step. */
		callers[i].next_ns = now() + pause * i / connections;
		watch(epoll, callers[i].fd, EPOLLIN, i);
	}
	for (;;) {
		uint64_t time = now(), deadline = stop;
		struct epoll_event events[64];
		int found;

		if (time >= stop)
			break;
		for (size_t i = 0; i < connections; i++) {
			struct caller *caller = &callers[i];

			if (!caller->sent_ns && caller->next_ns <= time) {
				if (send(caller->fd, buffer, size, MSG_NOSIGNAL) == (ssize_t)size)
					caller->sent_ns = time;
				else
					caller->next_ns = time + MS; /* not connected yet */
			}
			if (!caller->sent_ns && caller->next_ns < deadline)
				deadline = caller->next_ns;
		}
		found = wait_events(epoll, events, 64, deadline);
		time = now();
		for (int i = 0; i < found; i++) {
			struct caller *caller = &callers[events[i].data.u64];
			ssize_t got = recv(caller->fd, buffer, sizeof(buffer), 0);

			if (got == 0 || (got < 0 && errno != EAGAIN && errno != ENOTCONN))
				fail("a response of %s", text(role, "to", NULL));
			if (got > 0)
				caller->got += got;
			if (caller->sent_ns && caller->got >= size) {
				caller->got = 0;
				note_latency(caller, time, most);
				caller->next_ns = time + pause;
			}
		}
	}
	/* What has no answer yet took at least this long. */
	for (size_t i = 0; i < connections; i++) {
		if (callers[i].sent_ns)
			note_latency(&callers[i], now(), most);
		memcpy(every_one + all, callers[i].latencies, callers[i].count * sizeof(uint32_t));
		all += callers[i].count;
		end_by_reset(callers[i].fd);
	}
	printf("{\"role\":\"rr\",\"size\":%zu,", size);
	print_latencies(every_one, all);
	printf(",\"connections\":[");
	for (size_t i = 0; i < connections; i++) {
		printf("%s{", i ? "," : "");
		print_latencies(callers[i].latencies, callers[i].count);
		printf("}");
	}
	printf("]}\n");
}

/* ---- the program ---- */

static void enter(const char *name)
{
	char path[128];
	int fd;

	if (!*name)
		return;
	snprintf(path, sizeof(path), "/run/netns/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET))
		fail("namespace %s", name);
	close(fd);
}

static void play(const struct role *role)
{
	enter(text(role, "netns", ""));
	/* 50 us of slack would be a tenth of a packet's time. */
	prctl(PR_SET_TIMERSLACK, 1);
	if (!strcmp(role->kind, "sink"))
		run_sink(role);
	else if (!strcmp(role->kind, "echo"))
		run_echo(role);
	else if (!strcmp(role->kind, "bulk"))
		run_bulk(role);
	else if (!strcmp(role->kind, "udp"))
		run_datagrams(role, false);
	else if (!strcmp(role->kind, "txtime"))
		run_datagrams(role, true);
	else if (!strcmp(role->kind, "rr"))
		run_rr(role);
	else
		fail("no such role: %s", role->kind);
	if (fflush(stdout))
		fail("output");
}

int main(int argc, char **argv)
{
	struct role roles[MAX_ROLES];
	int outputs[MAX_ROLES], count_of_roles = 0, status, failed = 0;

	signal(SIGPIPE, SIG_IGN);
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--"))
			continue;
		argv[i] = NULL;
		if (i + 1 >= argc || count_of_roles == MAX_ROLES) {
			errno = EINVAL;
			fail("roles");
		}
		roles[count_of_roles++] = (struct role){ .kind = argv[i + 1], .args = &argv[i + 2] };
	}
	if (!count_of_roles || argc < 4 || !argv[1] || !argv[2]) {
		errno = EINVAL;
		fail("usage: load FROM_MS UNTIL_MS [EVERY_MS] -- ROLE key=value ... [-- ROLE ...]");
	}
	begin = now() + LEAD + LEAD_EACH * count_of_roles;
	window_from = begin + strtoul(argv[1], NULL, 10) * MS;
	window_until = begin + strtoul(argv[2], NULL, 10) * MS;
	every = argv[3] ? strtoul(argv[3], NULL, 10) * MS : 0;
	printf("{\"role\":\"load\",\"startNs\":\"%lu\"}\n", begin);
	fflush(stdout);
	for (int i = 0; i < count_of_roles; i++) {
		int ends[2];

		if (pipe2(ends, O_CLOEXEC))
			fail("pipe");
		switch (fork()) {
		case -1:
			fail("fork");
		case 0:
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			dup2(ends[1], 1);
			close(ends[0]);
			close(ends[1]);
			play(&roles[i]);
			exit(0);
		}
		close(ends[1]);
		outputs[i] = ends[0];
	}
	for (int i = 0; i < count_of_roles; i++) {
		char buffer[CHUNK];
		ssize_t size;

		while ((size = read(outputs[i], buffer, sizeof(buffer))) > 0)
			if (write(1, buffer, size) != size)
				fail("output");
	}
	while (wait(&status) > 0)
		failed |= !WIFEXITED(status) || WEXITSTATUS(status);
	return failed;
}
