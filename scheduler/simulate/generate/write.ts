import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { exportFailed } from '../../../lib/files/file-problem.ts';
import type { ClusterRecord } from '../../cluster/model.ts';
import { snapshotChunks } from '../../cluster/native-format.ts';
import { trafficChunks } from '../../cluster/traffic.ts';
import type { GeneratedCluster } from './generate.ts';

/**
 * Writes snapshot.json and traffic.csv into a folder, which is made.
 * @returns their paths
 * @throws NetloomError EXPORT_FAILED
 */
export async function writeCluster(cluster: GeneratedCluster, folder: string): Promise<string[]> {
  const of = (type: ClusterRecord['type']): readonly ClusterRecord[] =>
    cluster.records.filter((record) => record.type === type);
  const files: [string, Iterable<string>][] = [
    [
      join(folder, 'snapshot.json'),
      snapshotChunks({
        namespaces: () => of('namespace'),
        nodes: () => of('node'),
        pods: () => of('pod'),
        services: () => of('service'),
        controllers: () => of('controller'),
      }),
    ],
    [
      join(folder, 'traffic.csv'),
      trafficChunks(cluster.traffic.map(({ client, peer, ...rates }) => ({ client, server: peer, ...rates }))),
    ],
  ];
  try {
    await mkdir(folder, { recursive: true });
    for (const [path, chunks] of files) await pipeline(Readable.from(chunks), createWriteStream(path));
  } catch (error) {
    throw exportFailed("the cluster's files", 'folder', folder, error);
  }
  return files.map(([path]) => path);
}
