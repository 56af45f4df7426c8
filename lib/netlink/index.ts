/**
 * rtnetlink through koffi: devices, addresses, routes, neighbours, qdiscs, classes and filters of a network namespace,
 * and what changes in it. Nothing is opened on import.
 */
export type * from './types.ts';
export { dumpAddresses } from './addresses.ts';
export { dumpFilters, type Filter } from './filters.ts';
export {
  deleteHtbClass,
  dumpHtbClasses,
  replaceHtbClass,
  type HtbClass,
  type HtbClassPlace,
  type HtbClassSettings,
} from './htb-classes.ts';
export { dumpLinks, getLink } from './links.ts';
export { NetlinkMonitor, type Changes, type MonitorOptions, type Topic } from './monitor.ts';
export { dumpForwarding, dumpNeighbours } from './neighbours.ts';
export { NetlinkError, type Refusal } from './netlink-error.ts';
export {
  addQdisc,
  changeQdisc,
  deleteQdisc,
  dumpQdiscs,
  kernelHasFq,
  replaceQdisc,
  type ChangeOutcome,
  type Qdisc,
  type QdiscPlace,
} from './qdiscs.ts';
export {
  differences,
  type FifoOptions,
  type FqOptions,
  type HtbOptions,
  type QdiscOptions,
  type QdiscSettings,
  type TbfOptions,
} from './qdisc-options.ts';
export { ROUTE_UNICAST, TABLE_LOCAL, dumpRoutes } from './routes.ts';
export { NetlinkSocket, withNetlink, type NetlinkOptions } from './socket.ts';
export { TC_CLSACT_HANDLE, TC_CLSACT_PARENT, TC_HOOK, TC_ROOT, formatTcHandle, tcHandle } from './tc-message.ts';
export type { FqStats, TcStats } from './tc-stats.ts';
