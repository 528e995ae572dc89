"""Frequent names, by which a person's name without a title is seen in free text."""

from __future__ import annotations

#: Frequent surnames: nine of ten people in China have one of these.
_SURNAMES = (
    "欧阳 上官 司马 诸葛 王 李 张 刘 陈 杨 黄 赵 吴 周 徐 孙 马 朱 胡 郭 何 高 林 罗 郑 梁 谢 宋 唐 许 韩 冯 邓 曹 彭 曾 肖 田 董 袁 潘 于 蒋 蔡 余 杜 叶 程"
    " 苏 魏 吕 丁 任 沈 姚 卢 姜 崔 钟 谭 陆 汪 范 金 石 廖 贾 夏 韦 付 方 白 邹 孟 熊 秦 邱 江 尹 薛 闫 段 雷 侯 龙 史 陶 黎 贺 顾 毛 郝 龚 邵 万 钱 严 覃 武 戴 莫 孔 汤 赖"
)
CHINESE_SURNAMES = tuple(_SURNAMES.split())
#: Frequent first names in English and in Latin letters, in lower case, without those that are words of reports (mark, will, grant, ray, may, art, rose).
_GIVEN = """
    james john robert michael william david richard joseph thomas charles christopher daniel matthew anthony steven paul andrew joshua kenneth kevin
    brian george timothy ronald edward jason jeffrey ryan jacob gary nicholas eric jonathan stephen larry justin scott brandon benjamin samuel gregory
    alexander patrick jack dennis jerry tyler aaron jose adam nathan henry douglas peter zachary kyle noah ethan jeremy walter christian keith roger
    terry austin sean gerald carl harold dylan arthur lawrence jordan jesse bryan billy bruce gabriel joe logan alan juan albert willie elijah wayne
    randy vincent mason roy ralph bobby russell bradley philip eugene mary patricia jennifer linda elizabeth barbara susan jessica sarah karen lisa
    nancy betty margaret sandra ashley kimberly emily donna michelle carol amanda melissa deborah stephanie rebecca laura sharon cynthia dorothy amy
    kathleen angela shirley emma brenda pamela nicole anna samantha katherine christine helen debra rachel carolyn janet maria catherine heather diane
    olivia julie joyce victoria ruth virginia lauren kelly christina joan evelyn judith andrea hannah megan cheryl jacqueline martha madison teresa
    gloria sara janice ann kathryn abigail sophia frances jean alice judy isabella julia grace amber denise danielle marilyn beverly charlotte natalie
    theresa diana brittany doris kayla alexis lori hans klaus jürgen wolfgang ursula ingrid heinz günter monika petra andreas stefan pierre jacques
    françois marie isabelle luca marco giulia francesca carlos luis miguel javier carmen ana pablo pedro mohamed mohammed ahmed ali hassan fatima aisha
    omar ibrahim wei li ming xiao jing yan fang lei hui ling ping mei qiang jun tao yuki hiroshi takashi kenji akira sakura ivan sergei dmitri olga
    natasha svetlana raj priya amit anita sunil deepak
"""
GIVEN_NAMES = frozenset(_GIVEN.split())
