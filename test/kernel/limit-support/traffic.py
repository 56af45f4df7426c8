"""Traffic of pods, in one process and without packages. Usage: traffic.py VERB ARGUMENTS.

udp ADDRESS PORT COUNT SIZE [RATE]    datagrams; RATE a second
gso ADDRESS PORT COUNT SEGMENTS SIZE  datagrams of several segments (UDP_SEGMENT)
txtime ADDRESS PORT COUNT AHEAD_MS    datagrams with a departure time to come (SO_TXTIME, CLOCK_MONOTONIC)
raw-txtime DEVICE COUNT AHEAD_MS [SIZE] ARP frames with one (AF_PACKET), SIZE bytes behind the link-layer header
flood ADDRESS PORT SIZE RATE [STAMP]  datagrams, RATE a second, until its input ends; prints how many. STAMP: departure time,
                                      ns, or ms from now if it begins with +
timed-sink PORT                       as sink; prints [ms since 1970, bytes, datagrams] of every ms in which some came (JSON)
sink PORT                             counts datagrams until its input ends; prints "count bytes"
tcp-sink PORT                         takes one connection to its end; prints the bytes
tcp ADDRESS PORT BYTES                sends them; prints what left, retransmissions included
"""
import json
import select
import socket
import struct
import sys
import time

SO_TXTIME = 61
CLOCK_MONOTONIC = 1
SOL_UDP, UDP_SEGMENT = 17, 103
SO_RCVBUFFORCE = 33
SO_TIMESTAMPNS = 35


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def departure(ahead_ms):
    return at_ns(time.clock_gettime_ns(time.CLOCK_MONOTONIC) + int(ahead_ms) * 1_000_000)


def at_ns(when):
    return [(socket.SOL_SOCKET, SO_TXTIME, struct.pack("Q", when))]


def main(verb, *rest):
    if verb in ("udp", "gso", "txtime"):
        address, port, count = rest[0], int(rest[1]), int(rest[2])
        sock = socket.socket(family(address), socket.SOCK_DGRAM)
        to = (address, port)
        if verb == "udp":
            payload, rate = b"x" * int(rest[3]), float(rest[4]) if len(rest) > 4 else 0
            start = time.monotonic()
            for i in range(count):
                if rate:
                    time.sleep(max(0, start + i / rate - time.monotonic()))
                sock.sendto(payload, to)
        elif verb == "gso":
            segments, size = int(rest[3]), int(rest[4])
            sock.setsockopt(SOL_UDP, UDP_SEGMENT, size)
            for _ in range(count):
                sock.sendto(b"x" * (segments * size), to)
        else:
            sock.setsockopt(socket.SOL_SOCKET, SO_TXTIME, struct.pack("iI", CLOCK_MONOTONIC, 0))
            for _ in range(count):
                sock.sendmsg([b"x" * 100], departure(rest[3]), 0, to)
    elif verb == "raw-txtime":
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        sock.setsockopt(socket.SOL_SOCKET, SO_TXTIME, struct.pack("iI", CLOCK_MONOTONIC, 0))
        sock.bind((rest[0], 0x0806))
        frame = b"\xff" * 6 + b"\x02\0\0\0\0\x09" + b"\x08\x06" + bytes(int(rest[3]) if len(rest) > 3 else 28)
        for _ in range(int(rest[1])):
            sock.sendmsg([frame], departure(rest[2]))
    elif verb == "flood":
        sock = socket.socket(family(rest[0]), socket.SOCK_DGRAM)
        sock.connect((rest[0], int(rest[1])))
        stamp = rest[4] if len(rest) > 4 else None
        if stamp:
            sock.setsockopt(socket.SOL_SOCKET, SO_TXTIME, struct.pack("iI", CLOCK_MONOTONIC, 0))
        payload, rate, sent, start = b"x" * int(rest[2]), float(rest[3]), 0, time.monotonic()
        # What was not sent in time is made up for in pieces: a device's backlog holds 1,000 packets.
        most = max(50, int(rate / 100))
        print("ready", flush=True)
        while not select.select([sys.stdin], [], [], 0)[0]:
            due = min(int((time.monotonic() - start) * rate) - sent, most)
            for _ in range(due):
                try:
                    if stamp:
                        sock.sendmsg([payload], departure(stamp) if stamp[0] == "+" else at_ns(int(stamp)))
                    else:
                        sock.send(payload)
                except OSError:
                    pass  # Refused: nobody listens there by now; or no route for a moment.
            sent += due
            time.sleep(0.001)
        print(sent)
    elif verb == "timed-sink":
        sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 25)
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        sock.bind(("::", int(rest[0])))
        print("ready", flush=True)
        ms, sources, wait = {}, [sock, sys.stdin], None
        while True:
            ready, _, _ = select.select(sources, [], [], wait)
            if sock in ready:
                data, ancillary, _, _ = sock.recvmsg(65536, 64)
                seconds, ns = struct.unpack("qq", ancillary[0][2])
                entry = ms.setdefault(seconds * 1000 + ns // 1_000_000, [0, 0])
                entry[0] += len(data)
                entry[1] += 1
            elif ready:
                sources, wait = [sock], 0.5
            else:
                break
        print(json.dumps([[at, *entry] for at, entry in sorted(ms.items())]))
    elif verb == "sink":
        sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 25)
        sock.bind(("::", int(rest[0])))
        print("ready", flush=True)
        count = total = 0
        sources, wait = [sock, sys.stdin], None
        while True:
            ready, _, _ = select.select(sources, [], [], wait)
            if sock in ready:
                total += len(sock.recv(65536))
                count += 1
            elif ready:
                # What is on its way, HTB's queue included, still counts.
                sources, wait = [sock], 1
            else:
                break
        print(count, total)
    elif verb == "tcp-sink":
        server = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        server.bind(("::", int(rest[0])))
        server.listen(1)
        print("ready", flush=True)
        connection, _ = server.accept()
        total = 0
        while True:
            data = connection.recv(1 << 20)
            if not data:
                break
            total += len(data)
        print(total)
    elif verb == "tcp":
        sock = socket.socket(family(rest[0]), socket.SOCK_STREAM)
        sock.connect((rest[0], int(rest[1])))
        left, chunk = int(rest[2]), b"x" * (1 << 20)
        while left:
            left -= sock.send(chunk[: min(left, len(chunk))])
        sock.shutdown(socket.SHUT_WR)
        sock.recv(1)
        # tcpi_bytes_sent of struct tcp_info.
        print(struct.unpack_from("Q", sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 216), 200)[0])


try:
    main(*sys.argv[1:])
except BrokenPipeError:
    pass  # The test ended before.
