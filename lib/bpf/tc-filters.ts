import { closeSync } from 'node:fs';
import { bpfError } from './errno.ts';
import { lastErrno } from './libbpf.ts';
import { libc } from './libc.ts';

const AF_NETLINK = 16;
const SOCK_RAW_CLOEXEC = 3 | 0o2000000;
const NETLINK_ROUTE = 0;
const RTM_NEWTFILTER = 44;
const RTM_GETTFILTER = 46;
const NLM_F_REQUEST_DUMP = 0x301;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLMSG_HEADER_SIZE = 16;
const TCMSG_SIZE = 20;

/** TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS | TC_H_MIN_EGRESS) of linux/pkt_sched.h. */
const CLSACT_PARENTS = [0xfffffff2, 0xfffffff3];

/**
 * Whether anybody has a filter on the interface's clsact qdisc, in either direction. libbpf can only ask for one
 * filter by handle, and deleting a clsact qdisc silently deletes the filters of everybody.
 */
export function hasClsactFilters(ifindex: number): boolean {
  const socket = libc().socket(AF_NETLINK, SOCK_RAW_CLOEXEC, NETLINK_ROUTE);
  if (socket < 0) throw bpfError('BPF_SYSTEM_FAILED', 'opening a netlink socket', lastErrno());
  try {
    return CLSACT_PARENTS.some((parent) => dumpFindsFilter(socket, ifindex, parent));
  } finally {
    closeSync(socket);
  }
}

function dumpFindsFilter(socket: number, ifindex: number, parent: number): boolean {
  const request = Buffer.alloc(NLMSG_HEADER_SIZE + TCMSG_SIZE);
  request.writeUInt32LE(request.length, 0);
  request.writeUInt16LE(RTM_GETTFILTER, 4);
  request.writeUInt16LE(NLM_F_REQUEST_DUMP, 6);
  request.writeInt32LE(ifindex, NLMSG_HEADER_SIZE + 4);
  request.writeUInt32LE(parent, NLMSG_HEADER_SIZE + 12);
  if (libc().send(socket, request, request.length, 0) < 0) {
    throw bpfError('BPF_SYSTEM_FAILED', 'asking for the filters of an interface', lastErrno());
  }
  const reply = Buffer.alloc(32768);
  let found = false;
  // The dump is read to its end even after a hit: the next one uses the same socket.
  for (;;) {
    const size = Number(libc().recv(socket, reply, reply.length, 0));
    if (size <= 0) throw bpfError('BPF_SYSTEM_FAILED', 'reading the filters of an interface', lastErrno());
    for (let at = 0; at + NLMSG_HEADER_SIZE <= size;) {
      const length = reply.readUInt32LE(at);
      const type = reply.readUInt16LE(at + 4);
      if (type === NLMSG_DONE || type === NLMSG_ERROR) return found;
      if (type === RTM_NEWTFILTER) found = true;
      at += Math.max(NLMSG_HEADER_SIZE, Math.ceil(length / 4) * 4);
    }
  }
}
