"""Words that say nothing of what a picture shows: grammar, and what sites and cameras write by themselves."""

from typing import Final

#: The grammar of the languages that crawls of English queries mostly bring, without accents as `words` folds them.
_GRAMMAR: Final = """
a about above after again against all also although am an and another any are as at be because been before being below
between both but by can cannot could did do does doing down during each either etc every few for from further had has
have having he her here hers herself him himself his how i if in into is it its itself just like made many may me might
more most much must my myself no nor not now of off often on once one only onto or other our ours out over own per
quite rather same several shall she should since so some such than that the their theirs them themselves then there
these they this those through thus to too two under until up upon us usually very via was we were what when where which
while who whom whose why will with within without would you your yours yourself ll re ve don isn wasn doesn didn won
au aux avec ce ces cette dans de des du elle en est et eux il ils je la le les leur lui ma mais mes mon ne nos notre
nous ou par pas pour qu que qui sa sans se ses son sont sur ta te tes ton tu un une vos votre vous
aber als auch auf aus bei bin bis das dass dem den der des die dies diese dieser doch durch ein eine einem einen einer
eines er es fur hat hier ich ihr ihre im ist ja kein keine mein mit nach nicht noch nur oder ohne schon sehr sein seine
sich sie sind so um und uns unter vom von vor war was wie wir zu zum zur uber
al como con del desde donde el ella ellos era es esta este esto fue ha hasta hay la las lo los mas me mi muy no nos o
para pero por porque que se sin sobre su sus te tiene todo un una uno unos y ya
ai alla anche che chi ci con da dal dalla dei del della delle di e gli ha i il io la le lei loro lui ma mi mia nel nella
non per piu quale questa questo se si sono su sua sul sulla suo tra un una
ao aos as da das de do dos e ela ele em esta eu foi isso mais mas me meu minha na nao nas no nos o os ou para pela pelo
por que se sem seu sua um uma
aan bij dat de deze die dit een en er haar heb heeft het hij ik in is je kan maar met mijn naar niet nog of om ook op te
tot uit van veel voor was wat we wel werd wij ze zich zijn zo
"""
#: Sites, shops, cameras and file names.
_WEB: Final = """
add admin album all archive article available back best blog browse buy camera cart cheap click clipart collection com
comment comments contact copyright credit daily default deal deals delivery description details discount download
downloads editorial ebay facebook favorite favourite file flickr follow free full gallery gallerie getty gettyimages gif
google hd hi high home homepage hotel hq htm html http https id image images imagen imagenes img imgp index info
instagram iphone item jpeg jpg large latest license link links login logo long low media mobile net new news null nan
none online order org original page pages pdf photo photobucket photograph photographer photographs photography photos
php pic pics picture pictures pict pinterest please png post posted posts price prices print prints product products
public quality quot nbsp amp rar read result results review reviews royalty royaltyfree rss sale save scan screenshot
search see select sell share shipping shop shopping shutterstock site sold src stock store stores tag tagged tags
thumb thumbnail thumbnails title tumblr twitter undefined unknown unsplash untitled update updated upload uploaded url
user username view viewed views vector video videos wallpaper wallpapers web website webp website wikimedia wikipedia
wikipedia wordpress www youtube zip zoom
dsc dscf dscn dscnn sam sdc pano wp cimg hpim mvc gopr dji imag pxl vid mov
"""

STOP_WORDS: Final[frozenset[str]] = frozenset((*_GRAMMAR.split(), *_WEB.split()))
