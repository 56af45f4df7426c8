import type { MeasuredPeriod } from '../../collector/report/period.ts';
import { parseAddress } from '../../lib/ip.ts';
import { EdgeTable } from '../../proto/edge-table.ts';
import { IPPROTO_TCP, NO_COST, NO_LOSSES, ROLE_SERVER } from '../../proto/report.ts';

export interface ServedBytes {
  /** Address of the pod that accepted. */
  readonly server: string;
  readonly client: string;
  readonly bytesOut: number;
  readonly bytesIn: number;
  /** Opened in the period, 1 if left out. */
  readonly connections?: number;
}

/** What an agent measures at its accepting sockets in one period; `bytesOut` is client to server. */
export function serverPeriod(edges: readonly ServedBytes[], periodMs = 1_000): MeasuredPeriod {
  const table = new EdgeTable(Math.max(1, edges.length));
  for (const { server, client, bytesOut, bytesIn, connections = 1 } of edges) {
    const local = table.address(parseAddress(server)!, 0);
    const row = table.row(local, table.address(parseAddress(client)!, 0), 8080, ROLE_SERVER, IPPROTO_TCP);
    table.add(row, bytesIn, bytesOut, Math.ceil(bytesIn / 1448), Math.ceil(bytesOut / 1448), 0, connections);
    table.gauges(row, 120, 180);
  }
  return { edges: table.toColumns(), uplinks: [], losses: NO_LOSSES, cost: NO_COST, periodMs };
}
