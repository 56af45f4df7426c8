import { UDP_FRAME, UDP_PAYLOAD, growth } from '../guest/bench.ts';
import { ALL_KERNELS, NONE, about, type Case } from './case.ts';

export const DATAGRAMS: readonly Case[] = [
  {
    id: '14-udp-30-into-20',
    number: 14,
    ci: true,
    what: 'UDP of 30 into 20 Mbit/s: what is dropped costs nothing, and nothing is lost besides',
    kernels: ALL_KERNELS,
    shift: 1,
    measure: async (bench) => {
      await bench.limit({ pod1: { egress: 20 } });
      const before = bench.limits.stat('pod1', 'egress');
      const figures = await bench.udp({ from: 'pod1', to: 'world', offeredMbit: 30 });
      const { droppedPackets } = growth(before, bench.limits.stat('pod1', 'egress'));
      const unexplained = figures['sent']! - figures['delivered']! - droppedPackets!;
      return { ...figures, dropped: droppedPackets!, unexplained };
    },
    expected: { goodputMbit: about((20 * UDP_PAYLOAD) / UDP_FRAME[4], 0.002), unexplained: NONE, fqDropped: NONE },
  },
];
