import { parseQuantity } from '../../lib/quantity.ts';

/** What netloom.io/peers says of one peer. */
export interface PeerHint {
  readonly namespace: string;
  /** Of a Service or of a workload. */
  readonly name: string;
  /** Bytes per second of one pod, both ways. */
  readonly bytesPerSecond: number;
}

export interface PeerHints {
  readonly peers: readonly PeerHint[];
  /** What could not be used, as clauses that say what was found and what is expected; empty: all could. */
  readonly problems: readonly string[];
}

const MAX_PEERS = 32;
const MOST_BYTES_PER_SECOND = 1e12;
const NAME = /^[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?$/;

/**
 * Reads the annotation netloom.io/peers: "namespace/name=50Mi/s, ...", each with what one pod exchanges with the peer, in bytes a second
 * as a Kubernetes quantity, "/s" or not. Entries that are not of this form are left out and told. Pure.
 */
export function parsePeerHints(text: string): PeerHints {
  const peers: PeerHint[] = [];
  const problems: string[] = [];
  const bad = (entry: string, expected: string): void => {
    if (problems.length < 4) problems.push(`${JSON.stringify(entry.slice(0, 60))}: expected ${expected}`);
  };
  for (const entry of text.split(',').map((part) => part.trim())) {
    if (entry === '') continue;
    if (peers.length === MAX_PEERS) {
      bad(entry, `at most ${MAX_PEERS} peers`);
      break;
    }
    const [peer = '', rate, ...more] = entry.split('=').map((part) => part.trim());
    const [namespace = '', name, ...deeper] = peer.split('/');
    if (name === undefined || deeper.length > 0 || !NAME.test(namespace) || !NAME.test(name)) {
      bad(entry, 'namespace/name=RATE');
      continue;
    }
    const bytesPerSecond = rate === undefined || more.length > 0 ? undefined : parseQuantity(rate.replace(/\/s$/, ''));
    if (bytesPerSecond === undefined || !(bytesPerSecond > 0 && bytesPerSecond <= MOST_BYTES_PER_SECOND)) {
      bad(entry, 'a rate in bytes a second, as 50Mi/s, above 0 and up to 1T/s');
      continue;
    }
    peers.push({ namespace, name, bytesPerSecond });
  }
  if (peers.length === 0 && problems.length === 0) bad(text, 'namespace/name=RATE, ...');
  return { peers, problems };
}
