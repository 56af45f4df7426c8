/** Pods as the API server or kubectl gives them, to what is kept of them here. Pure; never throws. */
import { formatAddress, parseAddress } from '../../lib/ip.ts';
import { asArray, asObject, asText, excerpt, type JsonObject } from '../../lib/json/json-access.ts';
import type { NodePod } from '../interfaces/types.ts';

/** A pod of this node with the limits that it asks for. Plain data. */
export interface BandwidthPod extends NodePod {
  /** Value of kubernetes.io/egress-bandwidth, unread: perhaps no quantity at all. Absent: no annotation. */
  readonly egress?: string;
  /** The same of kubernetes.io/ingress-bandwidth. */
  readonly ingress?: string;
}

const EGRESS = 'kubernetes.io/egress-bandwidth';
const INGRESS = 'kubernetes.io/ingress-bandwidth';

/** Of names and of uids; the API server allows 253, and 63 for a namespace. */
const MAX_NAME = 253;
/** The longest quantity that says something has some twenty characters. */
const MAX_ANNOTATION = 128;
/** A pod has one address of each family. */
const MAX_IPS = 16;

/**
 * Static pods are ordinary here: the API server has a mirror of each. An annotation that is no string, as only a file
 * can have it, is kept as text: a wrong value is to be told, not to be overlooked.
 * @returns undefined: no pod, or one without a name
 */
export function projectPod(value: unknown): BandwidthPod | undefined {
  const object = asObject(value);
  const metadata = asObject(object?.['metadata']);
  const name = nameOf(metadata?.['name']);
  const namespace = nameOf(metadata?.['namespace']);
  if (object === undefined || metadata === undefined || name === undefined || namespace === undefined) return undefined;
  const status = asObject(object['status']);
  const phase = status?.['phase'];
  const createdMs = Date.parse(asText(metadata['creationTimestamp']) ?? '');
  const annotations = asObject(metadata['annotations']);
  const egress = annotationOf(annotations, EGRESS);
  const ingress = annotationOf(annotations, INGRESS);
  return {
    // One that somebody wrote by hand has none.
    uid: nameOf(metadata['uid']) ?? `${namespace}/${name}`,
    namespace,
    name,
    ips: ipsOf(status),
    hostNetwork: asObject(object['spec'])?.['hostNetwork'] === true,
    finished: phase === 'Succeeded' || phase === 'Failed',
    createdMs: Number.isNaN(createdMs) ? 0 : createdMs,
    ...(egress === undefined ? {} : { egress }),
    ...(ingress === undefined ? {} : { ingress }),
  };
}

/** Among the pods of one moment there is one of a name, though its uid changes over time. */
export function podKey({ namespace, name }: Pick<BandwidthPod, 'namespace' | 'name'>): string {
  return `${namespace}/${name}`;
}

/** spec.nodeName; undefined: not bound yet. */
export function nodeNameOf(value: unknown): string | undefined {
  return nameOf(asObject(asObject(value)?.['spec'])?.['nodeName']);
}

function nameOf(value: unknown): string | undefined {
  const text = asText(value);
  return text === undefined || text.length > MAX_NAME ? undefined : text;
}

/**
 * As Kubernetes, all of podIPs, or podIP of servers and files that have no other. Where none of them is an address they
 * stay as they are: that is to be told, not to be overlooked.
 */
function ipsOf(status: JsonObject | undefined): string[] {
  const listed = asArray(status?.['podIPs']).map((entry) => asObject(entry)?.['ip']);
  const ips = new Set<string>();
  const others = new Set<string>();
  for (const ip of listed.length > 0 ? listed : [status?.['podIP']]) {
    const bytes = typeof ip === 'string' ? parseAddress(ip) : undefined;
    const isNothing = ip === undefined || ip === null || ip === '';
    if (bytes !== undefined && ips.size < MAX_IPS) ips.add(formatAddress(bytes));
    if (bytes === undefined && !isNothing && others.size < MAX_IPS) others.add(excerpt(ip));
  }
  return [...(ips.size > 0 ? ips : others)];
}

/** An empty one is a wrong value, not an absent one. */
function annotationOf(annotations: JsonObject | undefined, key: string): string | undefined {
  const value = annotations?.[key];
  if (value === undefined || value === null) return undefined;
  const text = typeof value === 'string' ? value : excerpt(value);
  // What was cut must not become a quantity by it.
  return text.length <= MAX_ANNOTATION ? text : `${text.slice(0, MAX_ANNOTATION)}…`;
}
