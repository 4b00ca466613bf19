// Dark or light: the system's choice, or the switch's. `generation` changes when colours do.

const KEY = 'ringway-theme';
const media = matchMedia('(prefers-color-scheme: dark)');

export const theme = $state({ choice: localStorage.getItem(KEY) ?? 'system', generation: 0 });

function show() {
  const dark = theme.choice === 'dark' || (theme.choice === 'system' && media.matches);
  document.documentElement.dataset.theme = dark ? 'dark' : 'light';
  theme.generation += 1;
}

export function choose(choice) {
  theme.choice = choice;
  if (choice === 'system') localStorage.removeItem(KEY);
  else localStorage.setItem(KEY, choice);
  show();
}

media.addEventListener('change', show);
show();
