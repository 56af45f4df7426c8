import { UDP_FRAME, UDP_PAYLOAD } from '../guest/bench.ts';
import { ip, run } from '../guest/topology.ts';
import { ALL_KERNELS, NONE, about, atMost, type Case } from './case.ts';

/** Case 9: what leaves the node under another address, or inside of another packet, is limited all the same. */

const LIMIT = 20;
const TUNNEL_PAYLOAD = 1300;

const NAT = `table ip pacing { chain out { type nat hook postrouting priority srcnat; oifname "uplink" masquerade; }; }`;

let hasTunnel = false;

function buildTunnel(): void {
  if (hasTunnel) return;
  hasTunnel = true;
  const device = (local: string, remote: string): string =>
    `link add vx0 type vxlan id 7 local ${local} remote ${remote} dstport 4789`;
  ip('', device('10.99.0.1', '10.99.0.2'), 'addr add 10.95.0.1/24 dev vx0', 'link set vx0 up');
  ip('world', device('10.99.0.2', '10.99.0.1'), 'addr add 10.95.0.2/24 dev vx0', 'link set vx0 up');
}

export const PATHS: readonly Case[] = [
  {
    id: '9-masquerade-udp',
    number: 9,
    what: 'behind masquerade, UDP of 30 into 20 Mbit/s',
    kernels: ALL_KERNELS,
    shift: 1,
    measure: async (bench) => {
      await bench.limit({ pod1: { egress: LIMIT } });
      run('nft', ['-f', '-'], NAT);
      const udp = await bench.udp({ from: 'pod1', to: 'world', offeredMbit: 30 });
      const tcp = await bench.tcp({ from: 'pod1', to: 'world', flows: 4, ms: 3000, limitMbit: LIMIT });
      const counted = run('nft', ['list', 'ruleset']);
      run('nft', ['delete', 'table', 'ip', 'pacing']);
      return {
        goodputMbit: udp['goodputMbit']!,
        efficiencyPercent: tcp['efficiencyPercent']!,
        p99Ms: tcp['p99Ms']!,
        rules: Number(counted.includes('masquerade')),
        fqDropped: udp['fqDropped']! + tcp['fqDropped']!,
      };
    },
    expected: {
      goodputMbit: about((LIMIT * UDP_PAYLOAD) / UDP_FRAME[4], 0.005),
      efficiencyPercent: about(100, 0.01),
      p99Ms: atMost(1.1),
      rules: { min: 1 },
      fqDropped: NONE,
    },
  },
  {
    id: '9-vxlan-udp',
    number: 9,
    what: 'inside of VXLAN, UDP of 30 into 20 Mbit/s: the limit is that of the packet within',
    kernels: ALL_KERNELS,
    shift: 1,
    measure: async (bench) => {
      buildTunnel();
      await bench.limit({ pod1: { egress: LIMIT } });
      return bench.udp({ from: 'pod1', to: 'world', address: '10.95.0.2', offeredMbit: 30, size: TUNNEL_PAYLOAD });
    },
    expected: { goodputMbit: about((LIMIT * TUNNEL_PAYLOAD) / (TUNNEL_PAYLOAD + 42), 0.005), fqDropped: NONE },
  },
];
