import { readFileSync } from 'node:fs';

/** Bits of CapEff (linux/capability.h) that BPF asks for. */
const BITS = { CAP_NET_ADMIN: 12, CAP_SYS_ADMIN: 21, CAP_PERFMON: 38, CAP_BPF: 39 } as const;

export type Capability = keyof typeof BITS;

/** All that any part of the binding asks for. */
export const BPF_CAPABILITIES = Object.keys(BITS) as Capability[];

/** Those of `wanted` that this thread lacks. CAP_SYS_ADMIN includes CAP_BPF and CAP_PERFMON. */
export function missingCapabilities(wanted: readonly Capability[]): Capability[] {
  const effective = effectiveCapabilities();
  const has = (capability: Capability): boolean => ((effective >> BigInt(BITS[capability])) & 1n) === 1n;
  return wanted.filter((capability) => {
    const included = capability === 'CAP_BPF' || capability === 'CAP_PERFMON';
    return !has(capability) && !(included && has('CAP_SYS_ADMIN'));
  });
}

function effectiveCapabilities(): bigint {
  try {
    const match = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/thread-self/status', 'utf8'));
    return BigInt(`0x${match?.[1] ?? '0'}`);
  } catch {
    return 0n;
  }
}
