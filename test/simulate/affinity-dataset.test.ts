import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readSnapshot } from '../../scheduler/cluster/snapshot-file.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), `nlt${process.pid}-dataset-`));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const read = (value: unknown) => {
  const path = join(folder, 'data.json');
  writeFileSync(path, JSON.stringify(value));
  return readSnapshot(path);
};
const service = (name: string, containers: readonly string[], given: object = {}): object => ({
  Service: name,
  RequestCPU: 0.1,
  RequestMem: 1 / 3,
  ContainerList: containers,
  CompatibleMachines: '*',
  ...given,
});

describe('a data set of services, machines and traffic', () => {
  it('becomes nodes, Deployments, pods and undirected traffic; requests round up, capacities down', async () => {
    const { records, traffic, summary } = await read({
      ServiceList: [service('A', ['c1', 'c2']), service('B', ['c3'])],
      MachineList: [
        { MachineIP: '0.0.0.0', TotalCPU: 2 / 3, TotalMem: 2 / 3, InitialDeployingContainers: ['c1', 'c3'] },
        { MachineIP: '0.0.0.1', TotalCPU: 1 / 3, TotalMem: 1 / 3, InitialDeployingContainers: [] },
      ],
      TrafficList: [{ Service1: 'A', Service2: 'B', Traffic: 0.5 }],
    });
    expect(summary).toMatchObject({ form: 'dataset', nodes: 2, pods: 3, controllers: 2, unusable: [] });
    expect(records.get('node//0.0.0.0')).toMatchObject({
      allocatable: { milliCpu: 666_666_666_666, memoryBytes: 666_666_666_666, pods: 3 },
    });
    expect(records.get('controller/Deployment/default/A')).toMatchObject({ replicas: 2 });
    expect(records.get('pod/default/c1')).toMatchObject({
      node: '0.0.0.0',
      phase: 'Running',
      requests: { milliCpu: 1e11, memoryBytes: 333_333_333_334, pods: 1 },
    });
    expect(records.get('pod/default/c2')).toMatchObject({ node: undefined, phase: 'Pending' });
    const total = traffic!.reduce((sum, row) => sum + row.bytesPerSecondOut + row.bytesPerSecondIn, 0);
    expect(traffic!.map((row) => [row.client.name, row.peer.name])).toEqual([
      ['A', 'B'],
      ['B', 'A'],
    ]);
    expect(total).toBe(0.5);
  });

  it('tells what of it could not be used', async () => {
    const { summary, traffic } = await read({
      ServiceList: [service('A', ['c1'], { CompatibleMachines: ['0.0.0.0'] }), { Service: 'B' }, 7],
      MachineList: [
        { MachineIP: '0.0.0.0', TotalCPU: 1, TotalMem: 1, InitialDeployingContainers: ['c1'] },
        { MachineIP: 'x', TotalCPU: -1, TotalMem: 1 },
      ],
      TrafficList: [{ Service1: 'A', Service2: 'B', Traffic: 'much' }],
    });
    expect(summary.unusable.map(({ what, count }) => `${count} ${what}`).sort()).toEqual([
      '1 CompatibleMachines is not honoured: every machine counts as fit',
      '1 a machine without MachineIP, TotalCPU or TotalMem',
      '1 a pair without Service1, Service2 or Traffic',
      '2 a service without Service, RequestCPU or RequestMem',
    ]);
    expect(traffic).toEqual([]);
  });
});
