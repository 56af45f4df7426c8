import { closeSync, openSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { NetlinkSocket } from '../../../lib/netlink/socket.ts';
import { makeNetns } from '../../support/bpf.ts';

/** A namespace with devices of every kind that this kernel makes, and a socket in it. */
export interface Zoo {
  readonly name: string;
  readonly socket: NetlinkSocket;
  readonly netnsFd: number;
  /** Kinds that this kernel refused. */
  readonly missing: readonly string[];
  /** Runs a line of sh inside, and gives its output. */
  sh(line: string): string;
  /** Output of `ip -j ...` or `tc -j ...`, run inside. */
  json(command: string): Record<string, unknown>[];
  remove(): void;
}

const DEVICES: Readonly<Record<string, string>> = {
  veth: 'link add zveth0 numtxqueues 4 numrxqueues 4 type veth peer name zveth1',
  bridge: 'link add zbr0 type bridge',
  vlan: 'link add link zveth0 name zvlan7 type vlan id 7',
  bond: 'link add zbond0 type bond',
  dummy: 'link add zdummy0 type dummy',
  macvlan: 'link add link zveth0 name zmac0 type macvlan mode bridge',
  ipvlan: 'link add link zveth1 name zipvl0 type ipvlan',
  vxlan: 'link add zvx0 type vxlan id 7 dev zveth0 dstport 4789',
  geneve: 'link add zgnv0 type geneve id 7 remote 192.0.2.9',
  ifb: 'link add zifb0 type ifb',
  wireguard: 'link add zwg0 type wireguard',
  netkit: 'link add znk0 type netkit peer name znk1',
  tun: 'tuntap add dev ztun0 mode tun',
  ipip: 'link add zipip0 type ipip remote 192.0.2.9 local 192.0.2.1',
};

export function makeZoo(): Zoo {
  const netns = makeNetns();
  const sh = (line: string): string =>
    execFileSync('ip', ['netns', 'exec', netns.name, 'sh', '-ec', line], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  try {
    const missing = Object.entries(DEVICES)
      .filter(([, line]) => !succeeds(() => sh(`ip ${line}`)))
      .map(([kind]) => kind);
    sh('ip link set zveth1 master zbr0; ip link set zveth0 up; ip link set zveth1 up; ip link set zbr0 up');
    const netnsFd = openSync(netns.path, 'r');
    const socket = new NetlinkSocket({ netnsFd });
    const remove = (): void => {
      socket.close();
      closeSync(netnsFd);
      netns.remove();
    };
    const json = (command: string): Record<string, unknown>[] => {
      const text = sh(command).trim();
      return text === '' ? [] : (JSON.parse(text) as Record<string, unknown>[]);
    };
    return { name: netns.name, socket, netnsFd, missing, sh, json, remove };
  } catch (error) {
    netns.remove();
    throw error;
  }
}

function succeeds(work: () => unknown): boolean {
  try {
    work();
    return true;
  } catch {
    return false;
  }
}
