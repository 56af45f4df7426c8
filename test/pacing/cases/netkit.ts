import { UDP_FRAME, UDP_PAYLOAD } from '../guest/bench.ts';
import type { Direction } from '../guest/limits.ts';
import { NETKIT_POD } from '../guest/topology.ts';
import { NONE, about, atMost, type Case } from './case.ts';

const LIMIT = 100;
const places = (direction: Direction) =>
  direction === 'egress' ? ({ from: NETKIT_POD, to: 'world' } as const) : ({ from: 'world', to: NETKIT_POD } as const);

/** Cases 1 and 3 for a pod on netkit, which 6.1 does not have. */
export const ON_NETKIT: readonly Case[] = (['egress', 'ingress'] as const).flatMap((direction) =>
  ([4, 6] as const).map((family): Case => {
    const id = `1-netkit${family}-${direction}`;
    return {
      id,
      number: 1,
      what: `a pod on netkit, IPv${family}, ${direction} ${LIMIT} Mbit/s`,
      kernels: ['6.12'],
      shift: 1,
      measure: async (bench) => {
        bench.useNetkitPod();
        await bench.limit({ [NETKIT_POD]: { [direction]: LIMIT } });
        const udp = await bench.udp({ ...places(direction), family, offeredMbit: 120, segments: 10 });
        const tcp = await bench.tcp({ ...places(direction), family, flows: 4, limitMbit: LIMIT });
        return {
          udpGoodputMbit: udp['goodputMbit']!,
          efficiencyPercent: tcp['efficiencyPercent']!,
          p99Ms: tcp['p99Ms']!,
          fqDropped: udp['fqDropped']! + tcp['fqDropped']!,
        };
      },
      expected: {
        udpGoodputMbit: about((LIMIT * UDP_PAYLOAD) / UDP_FRAME[family], 0.005),
        efficiencyPercent: about(100, 0.02),
        p99Ms: atMost(1.1),
        fqDropped: NONE,
      },
    };
  }),
);
