import { NetloomError } from '../errors.ts';
import { align4 } from './attributes.ts';

/** Netlink messages (struct nlmsghdr of linux/netlink.h). Pure. */

export const HEADER_SIZE = 16;

/** Types below 16 are netlink's own. */
export const NLMSG_NOOP = 1;
export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;
export const NLMSG_OVERRUN = 4;

export const NLM_F_REQUEST = 0x1;
export const NLM_F_ACK = 0x4;
/** What is dumped changed while it was read: entries may be missing or double. */
export const NLM_F_DUMP_INTR = 0x10;
export const NLM_F_DUMP = 0x300;
/** Of requests that make something: */
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
/** Of an acknowledgement: attributes with the kernel's words follow; the request is not repeated in it. */
export const NLM_F_CAPPED = 0x100;
export const NLM_F_ACK_TLVS = 0x200;

export interface Message {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  /** All behind the header: a view of the datagram. */
  readonly body: Buffer;
}

export function encodeMessage(type: number, flags: number, sequence: number, body: Uint8Array): Buffer {
  const bytes = Buffer.alloc(HEADER_SIZE + align4(body.length));
  bytes.writeUInt32LE(HEADER_SIZE + body.length, 0);
  bytes.writeUInt16LE(type, 4);
  bytes.writeUInt16LE(flags, 6);
  bytes.writeUInt32LE(sequence, 8);
  bytes.set(body, HEADER_SIZE);
  return bytes;
}

/**
 * The messages of one datagram.
 * @throws NetloomError NETLINK_MALFORMED
 */
export function splitDatagram(datagram: Buffer): Message[] {
  const messages: Message[] = [];
  for (let at = 0; at < datagram.length;) {
    const left = datagram.length - at;
    const length = left < HEADER_SIZE ? 0 : datagram.readUInt32LE(at);
    if (length < HEADER_SIZE || length > left) {
      throw new NetloomError('NETLINK_MALFORMED', 'a netlink message does not fit into its datagram', {
        expected: `${HEADER_SIZE} to ${left} bytes`,
        found: `${length}`,
      });
    }
    messages.push({
      type: datagram.readUInt16LE(at + 4),
      flags: datagram.readUInt16LE(at + 6),
      sequence: datagram.readUInt32LE(at + 8),
      body: datagram.subarray(at + HEADER_SIZE, at + length),
    });
    at += align4(length);
  }
  return messages;
}

/**
 * The fixed part of a message's body, which must be there whole.
 * @throws NetloomError NETLINK_MALFORMED
 */
export function fixedPart(message: Message, size: number, what: string): Buffer {
  if (message.body.length < size) {
    throw new NetloomError('NETLINK_MALFORMED', `a netlink message about ${what} is too short`, {
      expected: `at least ${size} bytes`,
      found: `${message.body.length}`,
    });
  }
  return message.body;
}
