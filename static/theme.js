// Before anything is drawn, so that no page flashes in the wrong colours: the theme that the address
// asks for. Not a module, because those wait for the page.
{
  const theme = new URLSearchParams(location.hash.slice(1)).get('theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
}
