import { asArray, asObject, excerpt, type JsonObject } from '../../lib/json/json-access.ts';
import { parseQuantity } from '../../lib/quantity.ts';
import type { Egress } from './model.ts';

/** On a pod, or as an extended resource of its containers: what it is to be able to send, Mbit/s. */
export const EGRESS_MBPS = 'netloom.io/egress-mbps';
/** On a pod: what it may send at most, bits per second; kubelet, CNI plugins and Netloom's agents hold it. */
const EGRESS_LIMIT = 'kubernetes.io/egress-bandwidth';

const BYTES_PER_MBIT = 125_000;
/** Links of 100 Tbit/s are not built yet. */
export const MOST_MBPS = 1e8;

const EXPECTED = `expected a number of Mbit/s above 0, up to ${MOST_MBPS}`;

/** Bytes per second; undefined: no positive number of Mbit/s. */
function bytesOfMbps(value: unknown): number | undefined {
  const mbps = parseQuantity(value);
  return mbps !== undefined && mbps > 0 && mbps <= MOST_MBPS ? mbps * BYTES_PER_MBIT : undefined;
}

/** @param note is told of what cannot be used */
export function podEgress(
  spec: JsonObject | undefined,
  annotations: JsonObject | undefined,
  note: (problem: string) => void,
): Egress | undefined {
  let requested = 0;
  const stated = annotations?.[EGRESS_MBPS];
  if (stated !== undefined) {
    const bytes = bytesOfMbps(stated);
    if (bytes === undefined) note(`annotation ${EGRESS_MBPS} is ${excerpt(stated)}, ${EXPECTED}`);
    else requested = bytes;
  }
  if (requested === 0) {
    for (const container of asArray(spec?.['containers'])) {
      const resources = asObject(asObject(container)?.['resources']);
      const amount = asObject(resources?.['requests'])?.[EGRESS_MBPS] ?? asObject(resources?.['limits'])?.[EGRESS_MBPS];
      const bytes = bytesOfMbps(amount);
      if (bytes === undefined && amount !== undefined && parseQuantity(amount) !== 0) {
        note(`resource ${EGRESS_MBPS} is ${excerpt(amount)}, ${EXPECTED}`);
      }
      requested += bytes ?? 0;
    }
  }
  const limitText = annotations?.[EGRESS_LIMIT];
  const limitBps = parseQuantity(limitText);
  const limit = limitBps !== undefined && limitBps > 0 && limitBps <= 1e15 ? limitBps / 8 : undefined;
  if (limit === undefined && limitText !== undefined) {
    note(`annotation ${EGRESS_LIMIT} is ${excerpt(limitText)}, expected bits a second above 0, as 100M`);
  }
  if (requested === 0 && limit === undefined) return undefined;
  return {
    ...(requested === 0 ? {} : { requestBytesPerSecond: requested }),
    ...(limit === undefined ? {} : { limitBytesPerSecond: limit }),
  };
}
