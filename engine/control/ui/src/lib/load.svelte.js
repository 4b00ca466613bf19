// Something that is fetched: its value, its error, and how to fetch it again. Dies with the component that made it.

export function load(fetcher, { every } = {}) {
  const state = $state({ value: undefined, error: null, busy: false });
  let turn = 0;
  let timer;
  let gone = false;
  async function again() {
    const mine = (turn += 1);
    state.busy = true;
    try {
      const value = await fetcher();
      if (mine === turn && !gone) {
        state.value = value;
        state.error = null;
      }
    } catch (error) {
      if (mine === turn && !gone) state.error = error;
    } finally {
      if (mine === turn) state.busy = false;
    }
  }
  $effect(() => {
    again();
    return undefined;
  });
  $effect(() => {
    const ms = typeof every === 'function' ? every() : every;
    if (ms) timer = setInterval(() => document.visibilityState === 'visible' && !state.busy && again(), ms);
    return () => clearInterval(timer);
  });
  $effect(() => () => {
    gone = true;
  });
  return {
    get value() {
      return state.value;
    },
    get error() {
      return state.error;
    },
    get busy() {
      return state.busy;
    },
    get first() {
      return state.value === undefined && !state.error;
    },
    again,
  };
}
