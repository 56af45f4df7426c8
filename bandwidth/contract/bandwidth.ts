import { parseWholeQuantity } from './quantity.ts';

/** What a pod's traffic is limited by; egress is what it sends. */
export type Direction = 'egress' | 'ingress';
export const DIRECTIONS: readonly Direction[] = ['egress', 'ingress'];

/** As kubelet, the CNI plugins and Cilium read them (pkg/kubelet/util/../bandwidth: ExtractPodBandwidthResources). */
export const ANNOTATION: Readonly<Record<Direction, string>> = {
  egress: 'kubernetes.io/egress-bandwidth',
  ingress: 'kubernetes.io/ingress-bandwidth',
};

/** What kubelet calls reasonable (validateBandwidthIsReasonable). */
const LEAST_BPS = 1_000n;
const MOST_BPS = 10n ** 15n;
/** Below, a full packet would depart beyond fq's horizon of 10 s and be dropped. */
const LEAST_ENFORCED_BPS = 64_000n;

/** What an annotation says. */
export type Wish =
  | { readonly kind: 'none' }
  | { readonly kind: 'limit'; readonly bps: bigint }
  /** A limit that cannot be held. */
  | { readonly kind: 'unsupported'; readonly bps: bigint; readonly why: string }
  /** `problem` is a clause: what was found and what is expected. */
  | { readonly kind: 'invalid'; readonly problem: string };

/** @param text the annotation's value; undefined: there is none. Pure. */
export function parseBandwidth(text: string | undefined): Wish {
  if (text === undefined) return { kind: 'none' };
  const bps = parseWholeQuantity(text);
  const found = JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}...` : text);
  if (bps === undefined) return { kind: 'invalid', problem: `${found} is no quantity; expected bits a second, as 10M` };
  if (bps < LEAST_BPS || bps > MOST_BPS) {
    return { kind: 'invalid', problem: `${found} is out of range; expected 1k to 1P bits a second` };
  }
  return bps < LEAST_ENFORCED_BPS ? { kind: 'unsupported', bps, why: 'below 64k' } : { kind: 'limit', bps };
}
