import { missingCapabilities } from '../bpf/capabilities.ts';
import { EACCES, EPERM, errnoText } from '../bpf/errno.ts';
import { NetloomError, type ErrorDetails } from '../errors.ts';
import type { ErrorCode } from '../error-codes.ts';
import { Attributes } from './attributes.ts';
import { HEADER_SIZE, NLM_F_ACK_TLVS, NLM_F_CAPPED, NLMSG_DONE, type Message } from './message.ts';

/** The kernel's answer to a request that it refuses. */
export interface Refusal {
  /** Positive. */
  readonly errno: number;
  /** The kernel's own words; absent where it has none. */
  readonly words?: string;
}

/** A request that the kernel refused. */
export class NetlinkError extends NetloomError {
  readonly refusal: Refusal;

  constructor(code: ErrorCode, message: string, refusal: Refusal, details: ErrorDetails) {
    super(code, message, details);
    this.refusal = refusal;
  }
}

/** enum nlmsgerr_attrs of linux/netlink.h. */
const NLMSGERR_ATTR_MSG = 1;

/**
 * What an acknowledgement (NLMSG_ERROR, or the NLMSG_DONE that ends a dump) says; undefined: all went well. A warning
 * that comes with a success is dropped. Pure.
 */
export function refusalOf(message: Message): Refusal | undefined {
  const { body, flags } = message;
  // Dumps of very old kernels end without a status.
  const status = body.length >= 4 ? body.readInt32LE(0) : 0;
  if (status >= 0) return undefined;
  const words = (flags & NLM_F_ACK_TLVS) === 0 ? undefined : wordsBehind(message);
  return words === undefined ? { errno: -status } : { errno: -status, words };
}

function wordsBehind({ type, flags, body }: Message): string | undefined {
  let at = 4;
  if (type !== NLMSG_DONE) {
    // The header of the request follows, and unless capped the whole request.
    const requestLength = body.length >= 8 ? body.readUInt32LE(4) : HEADER_SIZE;
    at += (flags & NLM_F_CAPPED) !== 0 ? HEADER_SIZE : requestLength;
  }
  const words = new Attributes(body.subarray(Math.min(at, body.length))).string(NLMSGERR_ATTR_MSG);
  return words === '' ? undefined : words;
}

/** @param what the request, as "adding qdisc fq" */
export function refusalError(what: string, refusal: Refusal, place: string | undefined): NetlinkError {
  const { errno, words } = refusal;
  const message = `${what}: ${words === undefined ? '' : `the kernel says "${words}", `}${errnoText(errno)}`;
  const details: ErrorDetails = place === undefined ? {} : { place };
  const denied = errno === EPERM || errno === EACCES;
  if (denied && missingCapabilities(['CAP_NET_ADMIN']).length > 0) {
    return new NetlinkError('NETLINK_NOT_PERMITTED', message, refusal, { expected: 'CAP_NET_ADMIN', ...details });
  }
  return new NetlinkError('NETLINK_REFUSED', message, refusal, details);
}
