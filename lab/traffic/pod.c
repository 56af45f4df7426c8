// SPDX-License-Identifier: Apache-2.0
/*
 * One pod of the lab: a server on its ports and a client of its edges, in one small process, with exact
 * counters of its own payload bytes. It is the truth that Netloom's measurements are compared with, so it
 * counts what it handed to send() and took from recv(), and nothing else.
 *
 *   pod PLAN COUNTERS
 *
 * PLAN, one directive a line (the lab writes it, lab/traffic/plan.ts):
 *   generation N            number of this plan, repeated in the counters once it is in force
 *   paused                  clients start nothing; what is under way is finished, connections stay open
 *   listen PORT
 *   edge ID ADDR PORT MODE RATE REQUEST_BYTES RESPONSE_BYTES CONNECTIONS REDIAL_MS CLOSE
 *     MODE   keep-alive | short | bulk; RATE requests per second, 0 in bulk: as fast as it goes
 *     CLOSE  client | server | reset: who ends a short connection, and how
 *
 * Wire: a request is a header of 16 bytes (big endian: length of the request with header, length of the
 * response, flags, zero) and filling; the response is filling only. So payload is exactly what the plan says.
 *
 * Signals: SIGHUP reads PLAN again, SIGUSR1 writes COUNTERS now, SIGTERM/SIGINT finish what is under way
 * (at most half a second), write COUNTERS and exit. COUNTERS is also written twice a second; always atomically.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HEADER 16
#define FLAG_CLOSE 1u
#define MAX_EDGES 64
#define MAX_LISTEN 16
#define MAX_CONNECTIONS 1024 /* of one edge */
#define MAX_PEERS 4096
#define MAX_SERVER_CONNECTIONS 16000
#define CHUNK 65536
#define TURN_BYTES (1 << 20) /* of one connection before others have their turn */
#define MS ((uint64_t)1000000)
#define SECOND ((uint64_t)1000000000)
#define CONNECT_TIMEOUT (3 * SECOND)
#define REQUEST_TIMEOUT (10 * SECOND)
#define COUNTERS_EVERY (500 * MS)

enum mode { KEEP_ALIVE, SHORT, BULK };
enum closing { BY_CLIENT, BY_SERVER, BY_RESET };
enum kind { K_LISTENER, K_SERVER, K_CLIENT, K_SIGNAL };
enum phase { FREE, CONNECTING, IDLE, SENDING, RECEIVING, AWAIT_EOF };

struct peer {
	uint32_t addr;
	uint16_t port;
	uint8_t used;
	uint64_t bytes_in, bytes_out, connections, requests, open;
};

struct handle {
	enum kind kind;
	int fd;
};

struct edge;

struct conn {
	struct handle h; /* first: epoll gives its address */
	enum phase phase;
	uint32_t events;
	struct edge *edge;   /* client */
	int slot;            /* client: its place in edge->slots */
	struct peer *peer;   /* server */
	uint64_t since, redial_at;
	uint8_t header[HEADER];
	uint32_t header_done;
	uint64_t send_left, receive_left;
	uint64_t request_sent; /* of the request under way, for what stays unanswered */
	uint32_t flags;
	struct conn *next_dead, *next, *prev;
};

struct listener {
	struct handle h;
	uint16_t port;
};

struct edge {
	char id[128];
	uint32_t addr;
	uint16_t port;
	enum mode mode;
	enum closing closing;
	double rate;
	uint32_t request_bytes, response_bytes;
	int connections_wanted;
	uint64_t redial_ns;
	int in_plan;
	struct conn *slots[MAX_CONNECTIONS];
	int used_slots; /* all beyond are free */
	int busy, open, turn, free_hint;
	double due;
	uint64_t last_check, last_tick, dial_not_before, backoff;
	uint64_t bytes_out, bytes_in, requests, responses, connections;
	uint64_t connect_errors, errors, skipped, unanswered_bytes;
};

static struct edge *edges[MAX_EDGES];
static int n_edges;
static struct listener listeners[MAX_LISTEN];
static int n_listeners;
static struct peer peers[MAX_PEERS];
static struct peer other_peers; /* everything beyond MAX_PEERS: counted together */
static int n_peers;
static int server_connections;
static uint64_t refused;
static struct conn *server_list;
static struct conn *dead;
static int ep, paused = 1, stopping;
static long generation = -1;
static uint64_t now, started, sequence;
static const char *plan_path, *counters_path;
static uint8_t filling[CHUNK], sink[CHUNK];
static unsigned int seed;

static uint64_t clock_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "pod: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void want(struct conn *c, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.ptr = c };
	if (c->events == events)
		return;
	if (epoll_ctl(ep, c->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, c->h.fd, &e))
		die("epoll_ctl");
	c->events = events;
}

/* Freed only after the events of this round: a later event of the round may still point to it. */
static void bury(struct conn *c)
{
	c->next_dead = dead;
	dead = c;
}

static void bury_all(void)
{
	while (dead) {
		struct conn *c = dead;
		dead = c->next_dead;
		free(c);
	}
}

/* ---- server ---- */

static struct peer *peer_of(uint32_t addr, uint16_t port)
{
	uint32_t at = (addr * 2654435761u ^ port * 40503u) % MAX_PEERS;
	for (int i = 0; i < MAX_PEERS; i++, at = (at + 1) % MAX_PEERS) {
		struct peer *p = &peers[at];
		if (p->used && p->addr == addr && p->port == port)
			return p;
		if (!p->used) {
			/* An eighth stays free, so that a probe ends soon. */
			if (n_peers >= MAX_PEERS - MAX_PEERS / 8)
				return &other_peers;
			n_peers++;
			*p = (struct peer){ .addr = addr, .port = port, .used = 1 };
			return p;
		}
	}
	return &other_peers;
}

static void server_close(struct conn *c)
{
	if (c->phase == FREE)
		return;
	c->phase = FREE;
	close(c->h.fd);
	c->peer->open--;
	server_connections--;
	if (c->prev)
		c->prev->next = c->next;
	else
		server_list = c->next;
	if (c->next)
		c->next->prev = c->prev;
	bury(c);
}

static void server_accept(struct listener *l)
{
	for (int i = 0; i < 64; i++) {
		struct sockaddr_in a;
		socklen_t length = sizeof a;
		int one = 1;
		int fd = accept4(l->h.fd, (struct sockaddr *)&a, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0)
			return;
		if (server_connections >= MAX_SERVER_CONNECTIONS) {
			refused++;
			close(fd);
			continue;
		}
		struct conn *c = calloc(1, sizeof *c);
		if (!c) {
			refused++;
			close(fd);
			continue;
		}
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		c->h = (struct handle){ K_SERVER, fd };
		c->phase = IDLE;
		c->peer = peer_of(ntohl(a.sin_addr.s_addr), l->port);
		c->peer->connections++;
		c->peer->open++;
		c->next = server_list;
		if (server_list)
			server_list->prev = c;
		server_list = c;
		server_connections++;
		want(c, EPOLLIN);
	}
}

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void server_serve(struct conn *c)
{
	uint64_t budget = TURN_BYTES;
	while (budget > 0) {
		ssize_t n;
		if (c->phase == SENDING) {
			if (c->send_left == 0) {
				c->peer->requests++;
				c->phase = IDLE;
				c->header_done = 0;
				if ((c->flags & FLAG_CLOSE) || stopping) {
					server_close(c);
					return;
				}
				continue;
			}
			n = send(c->h.fd, filling, c->send_left < CHUNK ? c->send_left : CHUNK, MSG_NOSIGNAL);
			if (n < 0 && errno == EAGAIN) {
				want(c, EPOLLOUT);
				return;
			}
			if (n < 0) {
				server_close(c);
				return;
			}
			c->peer->bytes_out += n;
			c->send_left -= n;
			budget -= (uint64_t)n < budget ? (uint64_t)n : budget;
			continue;
		}
		if (c->phase == IDLE)
			n = recv(c->h.fd, c->header + c->header_done, HEADER - c->header_done, 0);
		else
			n = recv(c->h.fd, sink, c->receive_left < CHUNK ? c->receive_left : CHUNK, 0);
		if (n < 0 && errno == EAGAIN) {
			want(c, EPOLLIN);
			return;
		}
		if (n <= 0) {
			server_close(c);
			return;
		}
		c->peer->bytes_in += n;
		budget -= (uint64_t)n < budget ? (uint64_t)n : budget;
		if (c->phase == IDLE) {
			c->header_done += n;
			if (c->header_done < HEADER)
				continue;
			if (be32(c->header) < HEADER) { /* not our protocol */
				server_close(c);
				return;
			}
			c->receive_left = be32(c->header) - HEADER;
			c->send_left = be32(c->header + 4);
			c->flags = be32(c->header + 8);
			c->phase = c->receive_left ? RECEIVING : SENDING;
		} else {
			c->receive_left -= n;
			if (c->receive_left == 0)
				c->phase = SENDING;
		}
	}
	/* Level-triggered: what is left raises an event at once. */
	want(c, c->phase == SENDING ? EPOLLOUT : EPOLLIN);
}

/* ---- client ---- */

static void client_drop(struct conn *c, int failed)
{
	struct edge *e = c->edge;
	if (c->phase == FREE)
		return;
	if (failed) {
		if (c->phase == CONNECTING) {
			e->connect_errors++;
		} else if (c->phase != IDLE) {
			e->errors++;
			e->unanswered_bytes += c->request_sent;
		}
		if (c->phase == CONNECTING || c->phase == SENDING || c->phase == RECEIVING) {
			e->backoff = e->backoff ? e->backoff * 2 : 20 * MS;
			if (e->backoff > SECOND)
				e->backoff = SECOND;
			e->dial_not_before = now + e->backoff;
		}
	}
	if (c->phase != IDLE && !(c->phase == CONNECTING && e->mode == KEEP_ALIVE))
		e->busy--;
	e->slots[c->slot] = NULL;
	e->free_hint = c->slot;
	e->open--;
	c->phase = FREE;
	close(c->h.fd);
	bury(c);
}

static void client_start(struct conn *c)
{
	struct edge *e = c->edge;
	uint32_t head[4] = { htonl(e->request_bytes), htonl(e->response_bytes),
			     htonl(e->mode == SHORT && e->closing == BY_SERVER ? FLAG_CLOSE : 0), 0 };
	memcpy(c->header, head, HEADER);
	c->header_done = 0;
	c->send_left = e->request_bytes - HEADER;
	c->receive_left = e->response_bytes;
	c->request_sent = 0;
	c->phase = SENDING;
	c->since = now;
	e->requests++;
}

static int bulk_wanted(struct edge *e)
{
	return e->mode == BULK && e->rate == 0 && !paused && !stopping && e->in_plan;
}

static void client_end_short(struct conn *c)
{
	if (c->edge->closing == BY_RESET) {
		struct linger hard = { 1, 0 };
		setsockopt(c->h.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
	}
	client_drop(c, 0);
}

/* Drives one connection as far as it goes now. */
static void client_drive(struct conn *c)
{
	struct edge *e = c->edge;
	uint64_t budget = TURN_BYTES;
	while (budget > 0) {
		ssize_t n;
		switch (c->phase) {
		case SENDING:
			if (c->header_done < HEADER) {
				/* Header and the first filling in one segment. */
				uint8_t first[HEADER + 4096];
				size_t left = HEADER - c->header_done;
				size_t more = c->send_left < 4096 ? c->send_left : 4096;
				memcpy(first, c->header + c->header_done, left);
				memcpy(first + left, filling, more);
				n = send(c->h.fd, first, left + more, MSG_NOSIGNAL);
				if (n > 0) {
					size_t of_header = (size_t)n < left ? (size_t)n : left;
					c->header_done += of_header;
					c->send_left -= n - of_header;
				}
			} else if (c->send_left) {
				n = send(c->h.fd, filling, c->send_left < CHUNK ? c->send_left : CHUNK, MSG_NOSIGNAL);
				if (n > 0)
					c->send_left -= n;
			} else {
				c->phase = RECEIVING;
				continue;
			}
			if (n < 0 && errno == EAGAIN) {
				want(c, EPOLLOUT);
				return;
			}
			if (n < 0) {
				client_drop(c, 1);
				return;
			}
			e->bytes_out += n;
			c->request_sent += n;
			c->since = now;
			budget -= (uint64_t)n < budget ? (uint64_t)n : budget;
			continue;
		case RECEIVING:
			if (c->receive_left == 0) {
				e->responses++;
				e->backoff = 0;
				if (e->mode == SHORT) {
					if (e->closing == BY_SERVER) {
						c->phase = AWAIT_EOF;
						continue;
					}
					client_end_short(c);
					return;
				}
				if (bulk_wanted(e) && now < c->redial_at) {
					client_start(c);
					continue;
				}
				c->phase = IDLE;
				e->busy--;
				want(c, EPOLLIN);
				return;
			}
			n = recv(c->h.fd, sink, c->receive_left < CHUNK ? c->receive_left : CHUNK, 0);
			if (n < 0 && errno == EAGAIN) {
				want(c, EPOLLIN);
				return;
			}
			if (n <= 0) {
				client_drop(c, 1);
				return;
			}
			e->bytes_in += n;
			c->receive_left -= n;
			c->since = now;
			budget -= (uint64_t)n < budget ? (uint64_t)n : budget;
			continue;
		case AWAIT_EOF:
		case IDLE:
			n = recv(c->h.fd, sink, 1, 0);
			if (n < 0 && errno == EAGAIN) {
				want(c, EPOLLIN);
				return;
			}
			if (n > 0) { /* the peer says what was not asked */
				e->bytes_in += n;
				client_drop(c, 1);
				return;
			}
			client_drop(c, n < 0);
			return;
		default:
			return;
		}
	}
	want(c, c->phase == SENDING ? EPOLLOUT : EPOLLIN);
}

static int slot_of(struct edge *e)
{
	if (e->open >= e->connections_wanted)
		return -1;
	for (int i = 0; i < e->connections_wanted; i++) {
		int at = (e->free_hint + i) % e->connections_wanted;
		if (!e->slots[at]) {
			e->free_hint = at + 1;
			return at;
		}
	}
	return -1;
}

/* In short and bulk mode a connection that is dialled has its request already, so it counts as busy. */
static struct conn *client_dial(struct edge *e)
{
	int one = 1, slot = slot_of(e);
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(e->port), .sin_addr.s_addr = htonl(e->addr) };
	if (slot < 0 || now < e->dial_not_before)
		return NULL;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		e->connect_errors++;
		e->dial_not_before = now + 100 * MS;
		return NULL;
	}
	struct conn *c = calloc(1, sizeof *c);
	if (!c)
		die("calloc");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	c->h = (struct handle){ K_CLIENT, fd };
	c->edge = e;
	c->phase = CONNECTING;
	c->since = now;
	c->redial_at = UINT64_MAX;
	if (e->redial_ns) /* half to one and a half: they must not all go at once */
		c->redial_at = now + e->redial_ns / 2 + (uint64_t)(rand_r(&seed) / (RAND_MAX + 1.0) * e->redial_ns);
	c->slot = slot;
	e->slots[slot] = c;
	if (slot >= e->used_slots)
		e->used_slots = slot + 1;
	e->open++;
	if (e->mode != KEEP_ALIVE)
		e->busy++;
	if (connect(fd, (struct sockaddr *)&a, sizeof a) && errno != EINPROGRESS) {
		client_drop(c, 1);
		return NULL;
	}
	want(c, EPOLLOUT);
	return c;
}

static void client_connected(struct conn *c)
{
	struct edge *e = c->edge;
	int error = 0;
	socklen_t length = sizeof error;
	if (getsockopt(c->h.fd, SOL_SOCKET, SO_ERROR, &error, &length) || error) {
		client_drop(c, 1);
		return;
	}
	e->connections++;
	if (e->mode == KEEP_ALIVE) {
		c->phase = IDLE;
		e->backoff = 0;
		want(c, EPOLLIN);
		return;
	}
	client_start(c);
	client_drive(c);
}

static struct conn *idle_of(struct edge *e)
{
	for (int i = 0; i < e->connections_wanted; i++) {
		struct conn *c = e->slots[(e->turn + i) % e->connections_wanted];
		if (c && c->phase == IDLE) {
			e->turn = (e->turn + i + 1) % e->connections_wanted;
			return c;
		}
	}
	return NULL;
}

/* What is too old, too slow, or no longer wanted goes. */
static void edge_check(struct edge *e)
{
	for (int i = 0; i < e->used_slots; i++) {
		struct conn *c = e->slots[i];
		if (!c)
			continue;
		if (c->phase == IDLE && (!e->in_plan || i >= e->connections_wanted || (!paused && now >= c->redial_at)))
			client_drop(c, 0);
		else if (c->phase == CONNECTING && now - c->since > CONNECT_TIMEOUT)
			client_drop(c, 1);
		else if (c->phase > IDLE && now - c->since > REQUEST_TIMEOUT)
			client_drop(c, 1);
	}
}

/* Starts what is due on one edge. */
static void edge_tick(struct edge *e)
{
	double elapsed = (double)(now - e->last_tick) / SECOND;
	e->last_tick = now;
	if (now - e->last_check > 10 * MS) {
		e->last_check = now;
		edge_check(e);
	}
	if (paused || stopping || !e->in_plan)
		return;
	if (e->mode == KEEP_ALIVE || e->mode == BULK)
		while (e->open < e->connections_wanted && client_dial(e))
			;
	if (e->mode == BULK && e->rate == 0) {
		struct conn *c;
		while ((c = idle_of(e))) {
			e->busy++;
			client_start(c);
			client_drive(c);
		}
		return;
	}
	e->due += e->rate * elapsed;
	/* At most one second is caught up; the rest is said, not hidden. */
	double most = e->rate > 1 ? e->rate : 1;
	if (e->due > most) {
		e->skipped += (uint64_t)(e->due - most);
		e->due -= (uint64_t)(e->due - most);
	}
	while (e->due >= 1) {
		if (e->mode == SHORT) {
			if (!client_dial(e))
				break;
		} else {
			struct conn *c = idle_of(e);
			if (!c)
				break;
			e->busy++;
			client_start(c);
			client_drive(c);
		}
		e->due -= 1;
	}
}

/* ---- counters, plan ---- */

static void write_counters(void)
{
	char temporary[4096];
	snprintf(temporary, sizeof temporary, "%s.tmp", counters_path);
	FILE *f = fopen(temporary, "w");
	if (!f)
		return; /* the lab's folder is gone: it is being taken down */
	fprintf(f, "{\"sequence\":%" PRIu64 ",\"generation\":%ld,\"paused\":%s,\"pid\":%d,\"uptimeMs\":%" PRIu64
		   ",\"refused\":%" PRIu64 ",\n\"client\":[", ++sequence, generation, paused ? "true" : "false",
		(int)getpid(), (now - started) / MS, refused);
	for (int i = 0; i < n_edges; i++) {
		struct edge *e = edges[i];
		fprintf(f, "%s\n{\"edge\":\"%s\",\"bytesOut\":%" PRIu64 ",\"bytesIn\":%" PRIu64 ",\"requests\":%" PRIu64
			   ",\"responses\":%" PRIu64 ",\"connections\":%" PRIu64 ",\"connectErrors\":%" PRIu64
			   ",\"errors\":%" PRIu64 ",\"skipped\":%" PRIu64 ",\"unansweredBytes\":%" PRIu64
			   ",\"busy\":%d,\"open\":%d}",
			i ? "," : "", e->id, e->bytes_out, e->bytes_in, e->requests, e->responses, e->connections,
			e->connect_errors, e->errors, e->skipped, e->unanswered_bytes, e->busy, e->open);
	}
	fprintf(f, "],\n\"server\":[");
	int first = 1;
	for (int i = 0; i <= MAX_PEERS; i++) {
		struct peer *p = i < MAX_PEERS ? &peers[i] : &other_peers;
		char text[INET_ADDRSTRLEN] = "";
		struct in_addr a = { htonl(p->addr) };
		if (i < MAX_PEERS ? !p->used : p->connections == 0)
			continue;
		if (i < MAX_PEERS)
			inet_ntop(AF_INET, &a, text, sizeof text);
		fprintf(f, "%s\n{\"peer\":\"%s\",\"port\":%u,\"bytesIn\":%" PRIu64 ",\"bytesOut\":%" PRIu64
			   ",\"requests\":%" PRIu64 ",\"connections\":%" PRIu64 ",\"open\":%" PRIu64 "}",
			first ? "" : ",", text, p->port, p->bytes_in, p->bytes_out, p->requests, p->connections, p->open);
		first = 0;
	}
	fprintf(f, "]}\n");
	if (fclose(f) == 0)
		rename(temporary, counters_path);
}

static void open_listener(uint16_t port)
{
	int one = 1;
	for (int i = 0; i < n_listeners; i++)
		if (listeners[i].port == port)
			return;
	if (n_listeners == MAX_LISTEN) {
		fprintf(stderr, "pod: more than %d ports\n", MAX_LISTEN);
		exit(1);
	}
	struct listener *l = &listeners[n_listeners++];
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	l->port = port;
	l->h = (struct handle){ K_LISTENER, socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) };
	if (l->h.fd < 0)
		die("socket");
	setsockopt(l->h.fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(l->h.fd, (struct sockaddr *)&a, sizeof a))
		die("bind");
	if (listen(l->h.fd, 4096))
		die("listen");
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = l };
	if (epoll_ctl(ep, EPOLL_CTL_ADD, l->h.fd, &ev))
		die("epoll_ctl");
}

static void bad_plan(int line, const char *text)
{
	fprintf(stderr, "pod: plan line %d cannot be read: %s\n", line, text);
	exit(1);
}

static void read_edge(const char *text, int line)
{
	char id[128], addr[64], mode[16], closing[16];
	unsigned int port, request, response, connections, redial;
	double rate;
	struct in_addr a;
	if (sscanf(text, "edge %127s %63s %u %15s %lf %u %u %u %u %15s", id, addr, &port, mode, &rate, &request,
		   &response, &connections, &redial, closing) != 10 ||
	    inet_pton(AF_INET, addr, &a) != 1 || port == 0 || port > 65535 || rate < 0 || request < HEADER ||
	    connections == 0 || connections > MAX_CONNECTIONS)
		bad_plan(line, text);
	struct edge *e = NULL;
	for (int i = 0; i < n_edges; i++)
		if (!strcmp(edges[i]->id, id))
			e = edges[i];
	if (!e) {
		if (n_edges == MAX_EDGES)
			bad_plan(line, "too many edges");
		e = calloc(1, sizeof *e);
		if (!e)
			die("calloc");
		edges[n_edges++] = e;
		strcpy(e->id, id);
		e->due = rand_r(&seed) / (RAND_MAX + 1.0); /* replicas do not step together */
		e->last_tick = now;
		/* A mode is for good: what is busy means something else in each. */
		e->mode = !strcmp(mode, "short") ? SHORT : !strcmp(mode, "bulk") ? BULK : KEEP_ALIVE;
	}
	e->addr = ntohl(a.s_addr);
	e->port = port;
	e->closing = !strcmp(closing, "server") ? BY_SERVER : !strcmp(closing, "reset") ? BY_RESET : BY_CLIENT;
	e->rate = rate;
	e->request_bytes = request;
	e->response_bytes = response;
	e->connections_wanted = connections;
	e->redial_ns = redial * MS;
	e->in_plan = 1;
}

static void read_plan(void)
{
	char line[512];
	int at = 0, was_paused = paused;
	FILE *f = fopen(plan_path, "r");
	if (!f) {
		if (generation >= 0)
			return;
		die(plan_path);
	}
	paused = 0;
	for (int i = 0; i < n_edges; i++)
		edges[i]->in_plan = 0;
	while (fgets(line, sizeof line, f)) {
		unsigned int port;
		at++;
		line[strcspn(line, "\n")] = 0;
		if (line[0] == 0 || line[0] == '#')
			continue;
		if (!strcmp(line, "paused"))
			paused = 1;
		else if (sscanf(line, "generation %ld", &generation) == 1)
			continue;
		else if (sscanf(line, "listen %u", &port) == 1 && port > 0 && port < 65536)
			open_listener(port);
		else if (!strncmp(line, "edge ", 5))
			read_edge(line, at);
		else
			bad_plan(at, line);
	}
	fclose(f);
	if (generation < 0)
		generation = 0;
	if (was_paused && !paused) /* the pause is no debt */
		for (int i = 0; i < n_edges; i++)
			edges[i]->last_tick = now;
}

/* ---- loop ---- */

static int busy_anywhere(void)
{
	for (int i = 0; i < n_edges; i++)
		if (edges[i]->busy)
			return 1;
	for (struct conn *c = server_list; c; c = c->next)
		if (c->phase != IDLE || c->header_done)
			return 1;
	return 0;
}

static void stop_clean(void)
{
	struct conn *next;
	stopping = 1;
	/* An idle connection of ours is closed here: the client sees an end between two requests. */
	for (struct conn *c = server_list; c; c = next) {
		next = c->next;
		if (c->phase == IDLE && c->header_done == 0)
			server_serve(c); /* takes a request that has come already */
	}
	for (struct conn *c = server_list; c; c = next) {
		next = c->next;
		if (c->phase == IDLE && c->header_done == 0)
			server_close(c);
	}
}

static int timeout_ms(uint64_t next_counters)
{
	uint64_t until = next_counters;
	if (stopping)
		return 5;
	if (!paused)
		for (int i = 0; i < n_edges; i++) {
			struct edge *e = edges[i];
			if (!e->in_plan || e->rate == 0)
				continue;
			uint64_t at = e->due >= 1 ? now + 2 * MS : now + (uint64_t)((1 - e->due) / e->rate * SECOND);
			if (at < until)
				until = at;
		}
	if (until <= now)
		return 1;
	uint64_t ms = (until - now + MS - 1) / MS;
	return ms > 500 ? 500 : (int)ms;
}

int main(int argc, char **argv)
{
	sigset_t set;
	struct epoll_event events[256];
	uint64_t next_counters, next_tick = 0, stop_at = 0;
	struct rlimit files;
	if (argc != 3) {
		fprintf(stderr, "usage: pod PLAN COUNTERS\n");
		return 2;
	}
	plan_path = argv[1];
	counters_path = argv[2];
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	started = now = clock_ns();
	seed = (unsigned int)(now ^ (uint64_t)getpid() << 12);
	for (int i = 0; i < CHUNK; i++)
		filling[i] = "netloom "[i % 8];
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	ep = epoll_create1(EPOLL_CLOEXEC);
	struct handle signals = { K_SIGNAL, signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC) };
	struct epoll_event on_signal = { .events = EPOLLIN, .data.ptr = &signals };
	if (ep < 0 || signals.fd < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, signals.fd, &on_signal))
		die("epoll");
	read_plan();
	write_counters();
	next_counters = now + COUNTERS_EVERY;

	for (;;) {
		int n = epoll_wait(ep, events, 256, timeout_ms(next_counters));
		now = clock_ns();
		for (int i = 0; i < n; i++) {
			struct handle *h = events[i].data.ptr;
			struct signalfd_siginfo s;
			struct conn *c = (struct conn *)h;
			switch (h->kind) {
			case K_SIGNAL:
				while (read(signals.fd, &s, sizeof s) == sizeof s) {
					if (s.ssi_signo == SIGHUP)
						read_plan();
					else if (s.ssi_signo == SIGTERM || s.ssi_signo == SIGINT) {
						if (!stopping)
							stop_at = now + 500 * MS;
						stop_clean();
					}
					if (s.ssi_signo == SIGHUP || s.ssi_signo == SIGUSR1)
						write_counters();
				}
				break;
			case K_LISTENER:
				server_accept((struct listener *)h);
				break;
			case K_SERVER:
				if (c->phase != FREE)
					server_serve(c);
				break;
			case K_CLIENT:
				if (c->phase == CONNECTING)
					client_connected(c);
				else if (c->phase != FREE)
					client_drive(c);
				break;
			}
		}
		if (now >= next_tick) {
			next_tick = now + MS / 2;
			for (int i = 0; i < n_edges; i++)
				edge_tick(edges[i]);
		}
		bury_all();
		if (now >= next_counters) {
			write_counters();
			next_counters = now + COUNTERS_EVERY;
		}
		if (stopping && (!busy_anywhere() || now >= stop_at)) {
			write_counters();
			return 0;
		}
	}
}
