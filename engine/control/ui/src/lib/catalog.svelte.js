// Names that forms suggest: models, routes, teams. Asked for once a visit of a page.
import { list } from './api.js';

export const names = $state({ models: [], teams: [], customers: [], profiles: [], keys: [], channels: [] });

const nameOf = (row) => row.name;
export async function recallNames(...kinds) {
  for (const kind of kinds) {
    try {
      names[kind] = (await list(kind)).map(nameOf);
    } catch {
      names[kind] = [];
    }
  }
}
