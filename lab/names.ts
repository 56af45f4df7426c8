import { createHash } from 'node:crypto';
import { NetloomError } from '../lib/errors.ts';

/** Where `ip netns` keeps the names of network namespaces. */
export const NETNS_DIR = '/run/netns';

/** Every process that a lab starts carries its name in this environment variable: so a crashed lab's are found again. */
export const LAB_ENV = 'NETLOOM_LAB';

/** No dash: of `nl-a-b-...` it must be plain which lab it belongs to. */
const LAB_NAME = /^[a-z][a-z0-9]{0,11}$/;

export function checkLabName(name: string): void {
  if (LAB_NAME.test(name)) return;
  throw new NetloomError('LAB_NAME_INVALID', 'the name of a lab cannot be used', {
    expected: '1 to 12 lower-case letters and digits, beginning with a letter',
    found: JSON.stringify(name.slice(0, 100)),
  });
}

/** All network namespaces of a lab, and no others, begin with this. */
export function namespacePrefix(lab: string): string {
  return `nl-${lab}-`;
}

export const fabricNamespace = (lab: string): string => `${namespacePrefix(lab)}fabric`;
export const nodeNamespace = (lab: string, node: string): string => `${namespacePrefix(lab)}n-${node}`;
export const podNamespace = (lab: string, pod: string): string => `${namespacePrefix(lab)}p-${pod}`;

/** Set as the alias of `lo` in each namespace of a lab: tells a namespace of ours from one that only has such a name. */
export function ownershipMark(lab: string): string {
  return `netloom-lab:${lab}`;
}

export function netnsPath(namespace: string): string {
  return `${NETNS_DIR}/${namespace}`;
}

/** Alphabet of Kubernetes' generated names (apimachinery/pkg/util/rand): no vowels, no digits like letters. */
const SAFE = 'bcdfghjklmnpqrstvwxz2456789';

/** `length` characters that look like Kubernetes' random suffixes, the same for the same seed. */
export function suffix(seed: string, length: number): string {
  const digest = createHash('sha256').update(seed).digest();
  let out = '';
  for (let i = 0; i < length; i++) out += SAFE[digest[i]! % SAFE.length]!;
  return out;
}

/** A UUID (version 8, RFC 9562 5.8), the same for the same seed. */
export function uidOf(seed: string): string {
  const d = createHash('sha256').update(seed).digest().subarray(0, 16);
  d[6] = (d[6]! & 0x0f) | 0x80;
  d[8] = (d[8]! & 0x3f) | 0x80;
  const h = d.toString('hex');
  return `${h.slice(0, 8)}-${h.slice(8, 12)}-${h.slice(12, 16)}-${h.slice(16, 20)}-${h.slice(20)}`;
}
