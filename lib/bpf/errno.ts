import { constants } from 'node:os';
import { getSystemErrorMap } from 'node:util';
import type { ErrorCode } from '../error-codes.ts';
import { BPF_CAPABILITIES, missingCapabilities } from './capabilities.ts';
import { NetloomError, type ErrorDetails } from '../errors.ts';

export const EPERM = constants.errno.EPERM;
export const ENOENT = constants.errno.ENOENT;
export const EINTR = constants.errno.EINTR;
export const EAGAIN = constants.errno.EAGAIN;
export const EACCES = constants.errno.EACCES;
export const EEXIST = constants.errno.EEXIST;
export const ENODEV = constants.errno.ENODEV;
export const EINVAL = constants.errno.EINVAL;
export const ENOSPC = constants.errno.ENOSPC;
export const EOPNOTSUPP = constants.errno.EOPNOTSUPP;
/** The kernel's own "operation not supported" (include/linux/errno.h); leaks out of bpf(2). */
export const ENOTSUPP = 524;

/** libbpf's own errors (libbpf.h, enum libbpf_errno). */
const LIBBPF_ERRNO: Readonly<Record<number, string>> = {
  4000: 'the file is not an ELF object',
  4001: 'the BPF object is malformed',
  4002: 'the object has no version section',
  4003: 'the object has the wrong byte order',
  4004: 'the object has an unknown relocation',
  4005: 'a helper is unknown to libbpf',
  4006: 'an internal error of libbpf',
  4007: 'the kernel verifier refused the program',
  4008: 'the program is too large',
  4009: 'the kernel version does not match',
  4010: 'the program type does not match the kernel',
};

const NAMES = new Map(Object.entries(constants.errno).map(([name, value]) => [value, name]));

/** `EPERM (operation not permitted)`; takes the number with either sign. */
export function errnoText(errno: number): string {
  const code = Math.abs(errno);
  if (code === ENOTSUPP) return 'ENOTSUPP (not supported by this kernel)';
  const own = LIBBPF_ERRNO[code];
  if (own !== undefined) return own;
  const described = getSystemErrorMap().get(-code);
  if (described !== undefined) return `${described[0]} (${described[1]})`;
  return NAMES.get(code) ?? `errno ${code}`;
}

/**
 * The error of a failed call: BPF_NOT_PERMITTED if rights are missing, else `code`. EPERM alone does not say so: the
 * kernel also answers it to what it does not do for anybody.
 */
export function bpfError(code: ErrorCode, what: string, errno: number, details: ErrorDetails = {}): NetloomError {
  const message = `${what}: ${errnoText(errno)}`;
  const missing = Math.abs(errno) === EPERM ? missingCapabilities(BPF_CAPABILITIES) : [];
  if (missing.length === 0) return new NetloomError(code, message, details);
  return new NetloomError('BPF_NOT_PERMITTED', message, { expected: missing.join(', '), ...details });
}
