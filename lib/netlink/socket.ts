import { closeSync } from 'node:fs';
import { EAGAIN, EINTR, errnoText } from '../bpf/errno.ts';
import { lastErrno } from '../bpf/libbpf.ts';
import { libc } from '../bpf/libc.ts';
import { inNetns } from '../bpf/netns.ts';
import { NetloomError, type ErrorDetails } from '../errors.ts';
import {
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSG_NOOP,
  NLMSG_OVERRUN,
  encodeMessage,
  splitDatagram,
  type Message,
} from './message.ts';
import { refusalError, refusalOf } from './netlink-error.ts';

const AF_NETLINK = 16;
const SOCK_RAW_CLOEXEC = 3 | 0o2000000;
const NETLINK_ROUTE = 0;
const SOCKADDR_NL_SIZE = 12;

const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const SO_RCVTIMEO = 20;
const SO_SNDTIMEO = 21;
const SO_RCVBUFFORCE = 33;

const SOL_NETLINK = 270;
const NETLINK_ADD_MEMBERSHIP = 1;
/** Acknowledgements do not repeat the request. */
const NETLINK_CAP_ACK = 10;
/** Acknowledgements carry the kernel's words. */
const NETLINK_EXT_ACK = 11;
/** Dumps obey all of the request, among it IFA_TARGET_NETNSID (Linux 4.20). */
const NETLINK_GET_STRICT_CHK = 12;

export const MSG_TRUNC = 0x20;
export const MSG_DONTWAIT = 0x40;

/** The kernel fills at most 32 KiB of a dump at a time, and a single link with many functions stays below. */
export const DATAGRAM_BYTES = 65536;
/** The kernel answers within the call; only a long-held RTNL lock makes it late. */
const TIMEOUT_SECONDS = 5;
/** Times that a dump is begun anew because what it lists changed meanwhile. */
const DUMP_TRIES = 10;
/** A full Internet routing table has a million entries; more than this is a mistake, not a node. */
const MAX_DUMP_MESSAGES = 1 << 22;

export interface NetlinkOptions {
  /** Descriptor of the network namespace meant; entering it needs CAP_SYS_ADMIN. Default: that of this thread. */
  readonly netnsFd?: number;
}

/**
 * Requests to rtnetlink. Each is answered within the call: a request costs some 20 us, a dump of 200 links 2 ms, on
 * the thread that asks. A socket belongs to the network namespace in which it was opened. Reading needs no rights
 * except into other namespaces; changing needs CAP_NET_ADMIN.
 *
 * open -> closed by `close`, or by a failure that leaves it out of step (time-out, lost answer): open another one then.
 */
export class NetlinkSocket {
  readonly #fd: number;
  readonly #datagram = Buffer.alloc(DATAGRAM_BYTES);
  #sequence = 0;
  #closed = false;

  /** @throws NetloomError NETLINK_FAILED */
  constructor({ netnsFd }: NetlinkOptions = {}) {
    this.#fd = netnsFd === undefined ? openSocket() : inNetns(netnsFd, openSocket);
    try {
      for (const option of [SO_RCVTIMEO, SO_SNDTIMEO])
        setOption(this.#fd, SOL_SOCKET, option, timeval(TIMEOUT_SECONDS));
      for (const option of [NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK]) {
        setOption(this.#fd, SOL_NETLINK, option, int32(1));
      }
    } catch (error) {
      closeSync(this.#fd);
      throw error;
    }
  }

  /**
   * One request, waited for until it is acknowledged.
   * @param what for errors: "adding qdisc fq"
   * @returns what the kernel sent before the acknowledgement (the object of a GET)
   * @throws NetlinkError NETLINK_REFUSED, NETLINK_NOT_PERMITTED; NetloomError NETLINK_FAILED, NETLINK_MALFORMED
   */
  request(what: string, type: number, flags: number, body: Uint8Array, place?: string): Message[] {
    const replies: Message[] = [];
    this.#exchange(what, type, NLM_F_REQUEST | NLM_F_ACK | flags, body, place, (message) => {
      // Views of a buffer that the next datagram overwrites.
      replies.push({ ...message, body: Buffer.from(message.body) });
    });
    return replies;
  }

  /**
   * A whole list, begun anew while it changes under the reader.
   * @param read what to keep of each message; undefined: nothing. The message is only valid during the call. `attempt`
   *   counts the readings from 0: what was read in earlier ones is forgotten.
   * @throws NetlinkError NETLINK_REFUSED, NETLINK_NOT_PERMITTED;
   *   NetloomError NETLINK_INCONSISTENT, NETLINK_FAILED, NETLINK_MALFORMED
   */
  dump<T>(
    what: string,
    type: number,
    body: Uint8Array,
    read: (message: Message, attempt: number) => T | undefined,
    place?: string,
  ): T[] {
    for (let attempt = 0; attempt < DUMP_TRIES; attempt++) {
      const found: T[] = [];
      const consistent = this.#exchange(what, type, NLM_F_REQUEST | NLM_F_DUMP, body, place, (message) => {
        const value = read(message, attempt);
        if (value !== undefined) found.push(value);
      });
      if (consistent) return found;
    }
    throw new NetloomError('NETLINK_INCONSISTENT', `${what}: it changed during each of ${DUMP_TRIES} readings`);
  }

  /** By `close`, or by a failure. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeSync(this.#fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** @returns whether the answer is consistent in itself */
  #exchange(
    what: string,
    type: number,
    flags: number,
    body: Uint8Array,
    place: string | undefined,
    visit: (message: Message) => void,
  ): boolean {
    if (this.#closed) throw failed(what, 'the socket is closed');
    this.#sequence = (this.#sequence + 1) >>> 0;
    try {
      const bytes = encodeMessage(type, flags, this.#sequence, body);
      if (libc().send(this.#fd, bytes, bytes.length, 0) < 0) throw failed(what, errnoText(lastErrno()));
      return this.#readAnswer(what, place, visit);
    } catch (error) {
      // After a refusal nothing more comes; after anything else the rest of the answer may.
      const refused = error instanceof NetloomError && /^NETLINK_(REFUSED|NOT_PERMITTED)$/.test(error.code);
      if (!refused) this.close();
      throw error;
    }
  }

  #readAnswer(what: string, place: string | undefined, visit: (message: Message) => void): boolean {
    let consistent = true;
    for (let count = 0; count < MAX_DUMP_MESSAGES;) {
      for (const message of splitDatagram(this.#receive(what))) {
        count++;
        if (message.sequence !== this.#sequence) continue;
        if ((message.flags & NLM_F_DUMP_INTR) !== 0) consistent = false;
        if (message.type === NLMSG_ERROR || message.type === NLMSG_DONE) {
          const refusal = refusalOf(message);
          if (refusal !== undefined) throw refusalError(what, refusal, place);
          return consistent;
        }
        if (message.type === NLMSG_OVERRUN) throw failed(what, 'the kernel lost a part of the answer');
        if (message.type !== NLMSG_NOOP) visit(message);
      }
    }
    throw failed(what, `more than ${MAX_DUMP_MESSAGES} entries`);
  }

  #receive(what: string): Buffer {
    for (;;) {
      const received = receiveFromKernel(this.#fd, this.#datagram, 0);
      if (typeof received !== 'number') return received;
      if (received === EINTR) continue;
      const late = received === EAGAIN;
      throw failed(what, late ? `no answer within ${TIMEOUT_SECONDS} s` : errnoText(received));
    }
  }
}

/** Runs `work` with a socket that is closed behind it. */
export function withNetlink<T>(work: (socket: NetlinkSocket) => T, options: NetlinkOptions = {}): T {
  using socket = new NetlinkSocket(options);
  return work(socket);
}

/**
 * One datagram, or the errno. Only the kernel is believed: with CAP_NET_ADMIN other processes may write to this socket
 * too; what they send is read as an empty datagram.
 */
export function receiveFromKernel(fd: number, buffer: Buffer, flags: number): Buffer | number {
  const sender = Buffer.alloc(SOCKADDR_NL_SIZE);
  const senderSize = int32(SOCKADDR_NL_SIZE);
  const size = Number(libc().recvfrom(fd, buffer, buffer.length, flags | MSG_TRUNC, sender, senderSize));
  if (size < 0) return lastErrno();
  if (size > buffer.length) {
    throw failed('reading from the kernel', 'a netlink datagram is too large', {
      expected: `at most ${buffer.length} bytes`,
      found: `${size}`,
    });
  }
  return buffer.subarray(0, sender.readUInt32LE(4) === 0 ? size : 0);
}

/** A bound socket that hears multicast groups (RTNLGRP_*); the caller closes it. */
export function openListener(groups: readonly number[], bufferBytes: number, { netnsFd }: NetlinkOptions = {}): number {
  const fd = netnsFd === undefined ? openSocket() : inNetns(netnsFd, openSocket);
  try {
    // Beyond net.core.rmem_max only with CAP_NET_ADMIN; without, an overrun comes earlier and is reported.
    const forced = libc().setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, int32(bufferBytes), 4);
    if (forced < 0) setOption(fd, SOL_SOCKET, SO_RCVBUF, int32(bufferBytes));
    for (const group of groups) setOption(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, int32(group));
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function openSocket(): number {
  const fd = libc().socket(AF_NETLINK, SOCK_RAW_CLOEXEC, NETLINK_ROUTE);
  if (fd < 0) throw failed('opening a netlink socket', errnoText(lastErrno()));
  const address = Buffer.alloc(SOCKADDR_NL_SIZE);
  address.writeUInt16LE(AF_NETLINK, 0);
  if (libc().bind(fd, address, address.length) < 0) {
    const errno = lastErrno();
    closeSync(fd);
    throw failed('binding a netlink socket', errnoText(errno));
  }
  return fd;
}

function setOption(fd: number, level: number, option: number, value: Buffer): void {
  if (libc().setsockopt(fd, level, option, value, value.length) < 0) {
    throw failed(`setting option ${option} of a netlink socket`, errnoText(lastErrno()));
  }
}

function failed(what: string, why: string, details: ErrorDetails = {}): NetloomError {
  return new NetloomError('NETLINK_FAILED', `${what}: ${why}`, details);
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
}

/** struct timeval of 64-bit platforms. */
function timeval(seconds: number): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeBigInt64LE(BigInt(seconds), 0);
  return bytes;
}
